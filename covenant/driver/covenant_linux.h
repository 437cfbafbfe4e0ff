/* A machine on Linux: registers through UIO, external memory through a contiguous buffer (a u-dma-buf device, or reserved memory by /dev/mem).
 * Fills a covenant_device; the rest is covenant.h. */
#ifndef COVENANT_LINUX_H
#define COVENANT_LINUX_H

#include "covenant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct covenant_linux {
    volatile uint32_t *registers;
    size_t register_bytes, memory_bytes;
    void *memory;
    int uio, buffer;
    int timeout_ms;
} covenant_linux;

/* Open `uio` ("/dev/uio0"; its map 0 is the registers) and `buffer` ("/dev/udmabuf0", offset 0, or "/dev/mem" with the offset of reserved memory),
 * whose byte 0 is the machine's external address 0. `timeout_ms`: how long a run may take, -1 without limit. 0, or -1 with errno set and nothing open. */
int covenant_linux_open(covenant_linux *host, covenant_device *device, const char *uio, size_t register_bytes, const char *buffer,
                        uint64_t buffer_offset, size_t memory_bytes, int timeout_ms);

void covenant_linux_close(covenant_linux *host);

#ifdef __cplusplus
}
#endif

#endif
