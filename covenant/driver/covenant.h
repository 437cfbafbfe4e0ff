/* Driver of machines that Covenant generates: plain C99 or C++, no allocation, no library but <stddef.h> and <stdint.h>.
 *
 * A machine is reached through two things: its registers (AXI4-Lite) and its external memory (AXI4). Both are the caller's to provide, in a
 * covenant_device. The order of calls: covenant_probe, covenant_load, then for each inference covenant_pack, covenant_run, covenant_unpack.
 *
 * Results: COVENANT_OK (0); above it the machine's own error codes (ERROR_CODE register), of which covenant_fault says more; below it the driver's.
 * covenant_text gives a sentence of each.
 */
#ifndef COVENANT_H
#define COVENANT_H

#include <stddef.h>
#include <stdint.h>

#include "covenant_registers.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    COVENANT_OK = 0,
    COVENANT_PENDING = -1,      /* the run has not ended yet */
    COVENANT_E_ABSENT = -2,     /* no machine at the registers */
    COVENANT_E_VERSION = -3,    /* another register map */
    COVENANT_E_MACHINE = -4,    /* another machine than the image or the caller expects */
    COVENANT_E_IMAGE = -5,      /* damaged, cut off, or no image */
    COVENANT_E_MEMORY = -6,     /* does not fit the external memory */
    COVENANT_E_BUSY = -7,       /* a run is under way */
    COVENANT_E_TIMEOUT = -8,    /* no end within the polls allowed */
    COVENANT_E_UNLOADED = -9,   /* no program */
    COVENANT_E_NAN = -10,       /* an input is not a number: it has no quantised value */
    COVENANT_E_WAIT = -11,      /* the caller's wait failed */
    COVENANT_E_FAILED = -12     /* the last run ended in an error: covenant_reset first */
};

/* A machine as the caller reaches it. Fill in the first part, zero the rest. */
typedef struct covenant_device {
    uint32_t (*read)(void *context, uint32_t offset);
    void (*write)(void *context, uint32_t offset, uint32_t value);
    /* Block until the interrupt, 0 when it came; NULL to poll STATUS instead. */
    int (*wait)(void *context);
    /* Called after the processor has written, and before it reads, bytes of the memory that the machine shares: clean and invalidate caches,
     * or copy. NULL where the memory is coherent. */
    void (*to_device)(void *context, uint64_t address, uint64_t bytes);
    void (*from_device)(void *context, uint64_t address, uint64_t bytes);
    void *context;
    unsigned char *memory;      /* where byte 0 of the machine's external memory stands in the processor's addresses */
    uint64_t memory_bytes;      /* how much of it there is; a program needs no more than its image says */

    uint64_t program_address, fingerprint;
    uint32_t program_count;
} covenant_device;

/* Element types: of the caller's arrays and of tensors in memory. */
enum { COVENANT_I8 = 0, COVENANT_U8 = 1, COVENANT_I32 = 2, COVENANT_F32 = 3, COVENANT_I64 = 4 };

/* An input or output of a program, as the header that `covenant compile --header` writes describes it. Arrays are dense, row-major, in the
 * processor's byte order. */
typedef struct covenant_tensor {
    const char *name;
    uint8_t type;               /* of the caller's array */
    uint8_t stored;             /* of the bytes in memory, which are little endian */
    uint32_t scale_bits;        /* float32, as bits */
    int32_t zero_point;
    uint32_t shape[4];          /* (N, C, H, W) of the tensor; the caller's array is a row-major reinterpretation */
    uint32_t stored_shape[4];   /* (N, C, H, W) of what is stored; channels are innermost and padded to `lanes` */
    uint32_t lanes;
    uint64_t address, bytes;    /* in external memory */
    uint64_t elements;          /* of the caller's array */
    const uint32_t *unfold;     /* NULL, or kernel, strides, dilations, pads, each (y, x): windows of the tensor are stored */
    const uint32_t *function;   /* NULL, or the float32 bits of each raw byte: what the output is */
} covenant_tensor;

typedef struct covenant_error {
    uint32_t code, engine, address;     /* registers ERROR_CODE, ERROR_ENGINE (0: none is to blame, else 1 + index), ERROR_ADDRESS */
} covenant_error;

typedef struct covenant_counters {
    uint32_t retired, busy, stall;      /* instructions; cycles with one under way; cycles in which the next one waited */
} covenant_counters;

/* Is a machine there, and of this fingerprint? (0: any.) COVENANT_OK, _E_ABSENT, _E_VERSION, _E_MACHINE. */
int covenant_probe(covenant_device *device, uint64_t fingerprint);

/* Copy an image (`covenant compile --image`) into the external memory. COVENANT_OK, _E_IMAGE, _E_MACHINE, _E_MEMORY, _E_BUSY. */
int covenant_load(covenant_device *device, const void *image, size_t bytes);

/* Quantise and lay out an input. COVENANT_OK, _E_NAN, _E_MEMORY. */
int covenant_pack(covenant_device *device, const covenant_tensor *tensor, const void *array);

/* Read an output and turn it into the caller's type. COVENANT_OK, _E_MEMORY. */
int covenant_unpack(covenant_device *device, const covenant_tensor *tensor, void *array);

/* Begin a run. COVENANT_OK, _E_UNLOADED, _E_BUSY, _E_FAILED. */
int covenant_start(covenant_device *device);

/* How a run stands: COVENANT_PENDING, COVENANT_OK, or the machine's error code. After its end the interrupt is low again. */
int covenant_poll(covenant_device *device);

/* Begin a run and wait for its end: by `wait` where there is one, else by at most `polls` polls (0: without limit). Results of covenant_start and
 * covenant_poll, COVENANT_E_TIMEOUT, COVENANT_E_WAIT. */
int covenant_run(covenant_device *device, uint64_t polls);

/* End whatever is under way and forget the error; the program stays loaded. COVENANT_OK, or _E_TIMEOUT if the machine is not idle after `polls` polls. */
int covenant_reset(covenant_device *device, uint64_t polls);

covenant_error covenant_fault(const covenant_device *device);
uint64_t covenant_cycles(const covenant_device *device);
covenant_counters covenant_count(const covenant_device *device, uint32_t engine);

/* A sentence of a result. */
const char *covenant_text(int result);

#ifdef __cplusplus
}
#endif

#endif
