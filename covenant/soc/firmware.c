/* Runs a network on the accelerator for each sample, by the driver as it is, and prints what came out, the class, and the accelerator's cycles. */
#include "covenant.h"
#include "network.h"
#include "samples.h"

#define REGISTERS ((volatile uint32_t *)0x40000000u)
#define CONSOLE (*(volatile uint32_t *)0x50000000u)
#define SHARED ((unsigned char *)0x80000000u)

extern const unsigned char network_image[], network_image_end[];

static uint32_t read_register(void *context, uint32_t offset) {
    (void)context;
    return REGISTERS[offset / 4];
}

static void write_register(void *context, uint32_t offset, uint32_t value) {
    (void)context;
    REGISTERS[offset / 4] = value;
}

static void put(const char *text) {
    while (*text) CONSOLE = (unsigned char)*text++;
}

static void put_number(uint32_t value) {
    char digits[11];
    int place = 10;
    digits[place] = 0;
    do {
        digits[--place] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    put(digits + place);
}

static void put_bytes(const unsigned char *bytes, uint32_t count) {
    static const char digits[] = "0123456789abcdef";
    for (; count; count--, bytes++) {
        CONSOLE = (unsigned char)digits[*bytes >> 4];
        CONSOLE = (unsigned char)digits[*bytes & 15];
    }
}

static uint32_t clock_cycles(void) {
    uint32_t value;
    __asm__ volatile("rdcycle %0" : "=r"(value));
    return value;
}

/* Where an output is largest: the class. */
static uint32_t largest(const covenant_tensor *tensor, const unsigned char *bytes) {
    uint64_t place;
    uint32_t best = 0;
    for (place = 1; place < tensor->elements; place++) {
        int more = 0;
        if (tensor->type == COVENANT_F32) more = ((const float *)(const void *)bytes)[place] > ((const float *)(const void *)bytes)[best];
        else if (tensor->type == COVENANT_U8) more = bytes[place] > bytes[best];
        else if (tensor->type == COVENANT_I8) more = (signed char)bytes[place] > (signed char)bytes[best];
        if (more) best = (uint32_t)place;
    }
    return best;
}

static int failed(const char *what, int result) {
    put(what);
    put(": ");
    put(covenant_text(result));
    put("\n");
    return 1;
}

void *memcpy(void *target, const void *source, size_t count) {
    unsigned char *to = (unsigned char *)target;
    const unsigned char *from = (const unsigned char *)source;
    for (; count; count--) *to++ = *from++;
    return target;
}

void *memset(void *target, int value, size_t count) {
    unsigned char *to = (unsigned char *)target;
    for (; count; count--) *to++ = (unsigned char)value;
    return target;
}

int main(void) {
    static covenant_device device;
    static union { float align; unsigned char bytes[OUTPUT_BYTES]; } output;
    uint32_t sample;
    int result;
    device.read = read_register;
    device.write = write_register;
    device.memory = SHARED;
    device.memory_bytes = SHARED_BYTES;
    result = covenant_probe(&device, NETWORK_FINGERPRINT);
    if (result != COVENANT_OK) return failed("probe", result);
    result = covenant_load(&device, network_image, (size_t)(network_image_end - network_image));
    if (result != COVENANT_OK) return failed("load", result);
    for (sample = 0; sample < SAMPLES; sample++) {
        uint32_t begin = clock_cycles(), middle, end;
        result = covenant_pack(&device, &network_inputs[0], (const unsigned char *)samples + sample * INPUT_BYTES);
        if (result != COVENANT_OK) return failed("pack", result);
        middle = clock_cycles();
        result = covenant_run(&device, 0);
        if (result != COVENANT_OK) return failed("run", result);
        end = clock_cycles();
        result = covenant_unpack(&device, &network_outputs[0], output.bytes);
        if (result != COVENANT_OK) return failed("unpack", result);
        put("SAMPLE ");
        put_number(sample);
        put(" class ");
        put_number(largest(&network_outputs[0], output.bytes));
        put(" cycles ");
        put_number((uint32_t)covenant_cycles(&device));
        put(" pack ");
        put_number(middle - begin);
        put(" run ");
        put_number(end - middle);
        put(" unpack ");
        put_number(clock_cycles() - end);
        put(" output ");
        put_bytes(output.bytes, OUTPUT_BYTES);
        put("\n");
    }
    return 0;
}
