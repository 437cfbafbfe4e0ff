/* See covenant_linux.h. */
#define _DEFAULT_SOURCE
#include "covenant_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

static uint32_t read_register(void *context, uint32_t offset) {
    return ((const covenant_linux *)context)->registers[offset / 4];
}

static void write_register(void *context, uint32_t offset, uint32_t value) {
    ((covenant_linux *)context)->registers[offset / 4] = value;
    __sync_synchronize();
}

/* The memory is mapped uncached (O_SYNC): all that is left to do is not to reorder. */
static void order(void *context, uint64_t address, uint64_t bytes) {
    (void)context;
    (void)address;
    (void)bytes;
    __sync_synchronize();
}

/* UIO: a write of 1 lets the interrupt through, a read counts it. The line is a level, and stays until the driver lowers it. */
static int wait_interrupt(void *context) {
    const covenant_linux *host = (const covenant_linux *)context;
    uint32_t word = 1;
    struct pollfd file;
    int ready;
    if (write(host->uio, &word, sizeof word) != (ssize_t)sizeof word) return -1;
    file.fd = host->uio;
    file.events = POLLIN;
    file.revents = 0;
    do ready = poll(&file, 1, host->timeout_ms);
    while (ready < 0 && errno == EINTR);
    if (ready != 1) return -1;
    return read(host->uio, &word, sizeof word) == (ssize_t)sizeof word ? 0 : -1;
}

void covenant_linux_close(covenant_linux *host) {
    const int saved = errno;
    if (host->registers) munmap((void *)(uintptr_t)host->registers, host->register_bytes);
    if (host->memory) munmap(host->memory, host->memory_bytes);
    if (host->uio >= 0) close(host->uio);
    if (host->buffer >= 0) close(host->buffer);
    host->registers = NULL;
    host->memory = NULL;
    host->uio = host->buffer = -1;
    errno = saved;
}

int covenant_linux_open(covenant_linux *host, covenant_device *device, const char *uio, size_t register_bytes, const char *buffer,
                        uint64_t buffer_offset, size_t memory_bytes, int timeout_ms) {
    static const covenant_device nothing = {NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0};
    void *mapped;
    host->registers = NULL;
    host->memory = NULL;
    host->register_bytes = register_bytes;
    host->memory_bytes = memory_bytes;
    host->timeout_ms = timeout_ms;
    host->buffer = -1;
    host->uio = open(uio, O_RDWR);
    if (host->uio >= 0) host->buffer = open(buffer, O_RDWR | O_SYNC);
    if (host->uio < 0 || host->buffer < 0) {
        covenant_linux_close(host);
        return -1;
    }
    mapped = mmap(NULL, register_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, host->uio, 0);
    if (mapped != MAP_FAILED) {
        host->registers = (volatile uint32_t *)mapped;
        mapped = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, host->buffer, (off_t)buffer_offset);
    }
    if (mapped == MAP_FAILED) {
        covenant_linux_close(host);
        return -1;
    }
    host->memory = mapped;
    *device = nothing;
    device->read = read_register;
    device->write = write_register;
    device->wait = wait_interrupt;
    device->to_device = order;
    device->from_device = order;
    device->context = host;
    device->memory = (unsigned char *)mapped;
    device->memory_bytes = memory_bytes;
    return 0;
}
