/* See covenant.h. */
#include "covenant.h"

#ifdef __FAST_MATH__
#error "covenant.c: built with -ffast-math; the outputs would not be those that ONNX defines"
#endif

/* An image, little endian: magic, fingerprint, address of the program, external memory it needs, bytes of the whole (64 bits each),
 * instructions, segments (32 bits each); a segment: address, offset in the image, bytes (64 bits each); data; CRC-32 of all before it. */
enum { HEAD_BYTES = 48, SEGMENT_BYTES = 24, CRC_BYTES = 4 };
static const unsigned char magic[8] = {'C', 'V', 'N', 'T', 'I', 'M', 'G', '1'};

static uint32_t word32(const unsigned char *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint64_t word64(const unsigned char *bytes) {
    return (uint64_t)word32(bytes) | (uint64_t)word32(bytes + 4) << 32;
}

static void put32(unsigned char *bytes, uint32_t value) {
    int place;
    for (place = 0; place < 4; place++) bytes[place] = (unsigned char)(value >> 8 * place);
}

static void copy(void *target, const void *source, uint64_t bytes) {
    unsigned char *to = (unsigned char *)target;
    const unsigned char *from = (const unsigned char *)source;
    uint64_t place;
    for (place = 0; place < bytes; place++) to[place] = from[place];
}

static uint32_t crc32(const unsigned char *bytes, uint64_t count) {
    uint32_t crc = 0xffffffffu, table[16];
    uint64_t place;
    uint32_t nibble;
    int bit;
    for (nibble = 0; nibble < 16; nibble++) {
        table[nibble] = nibble;
        for (bit = 0; bit < 4; bit++) table[nibble] = table[nibble] >> 1 ^ (table[nibble] & 1 ? 0xedb88320u : 0);
    }
    for (place = 0; place < count; place++) {
        crc = crc >> 4 ^ table[(crc ^ bytes[place]) & 15];
        crc = crc >> 4 ^ table[(crc ^ (uint32_t)bytes[place] >> 4) & 15];
    }
    return ~crc;
}

static uint32_t get(const covenant_device *device, uint32_t offset) {
    return device->read(device->context, offset);
}

static void set(covenant_device *device, uint32_t offset, uint32_t value) {
    device->write(device->context, offset, value);
}

static int fits(const covenant_device *device, uint64_t address, uint64_t bytes) {
    return address <= device->memory_bytes && bytes <= device->memory_bytes - address;
}

int covenant_probe(covenant_device *device, uint64_t fingerprint) {
    uint64_t found;
    if (get(device, COVENANT_REG_ID) != COVENANT_ID) return COVENANT_E_ABSENT;
    if (get(device, COVENANT_REG_VERSION) != COVENANT_VERSION) return COVENANT_E_VERSION;
    found = (uint64_t)get(device, COVENANT_REG_FINGERPRINT_LO) | (uint64_t)get(device, COVENANT_REG_FINGERPRINT_HI) << 32;
    if (fingerprint != 0 && found != fingerprint) return COVENANT_E_MACHINE;
    device->fingerprint = found;
    return COVENANT_OK;
}

static int check_image(const covenant_device *device, const unsigned char *image, uint64_t bytes) {
    uint64_t room;
    uint32_t count, place;
    for (place = 0; place < sizeof magic; place++)
        if (bytes < HEAD_BYTES + CRC_BYTES || image[place] != magic[place]) return COVENANT_E_IMAGE;
    if (word64(image + 32) != bytes || crc32(image, bytes - CRC_BYTES) != word32(image + bytes - CRC_BYTES)) return COVENANT_E_IMAGE;
    count = word32(image + 44);
    room = bytes - HEAD_BYTES - CRC_BYTES;
    if (count > room / SEGMENT_BYTES) return COVENANT_E_IMAGE;
    if (word64(image + 8) != device->fingerprint) return COVENANT_E_MACHINE;
    if (word64(image + 24) > device->memory_bytes) return COVENANT_E_MEMORY;
    for (place = 0; place < count; place++) {
        const unsigned char *segment = image + HEAD_BYTES + (uint64_t)place * SEGMENT_BYTES;
        const uint64_t address = word64(segment), offset = word64(segment + 8), size = word64(segment + 16);
        if (offset > bytes - CRC_BYTES || size > bytes - CRC_BYTES - offset) return COVENANT_E_IMAGE;
        if (!fits(device, address, size)) return COVENANT_E_MEMORY;
    }
    return COVENANT_OK;
}

int covenant_load(covenant_device *device, const void *image, size_t bytes) {
    const unsigned char *data = (const unsigned char *)image;
    uint32_t place;
    int result = check_image(device, data, bytes);
    if (result != COVENANT_OK) return result;
    if (get(device, COVENANT_REG_STATUS) & COVENANT_STATUS_BUSY) return COVENANT_E_BUSY;
    for (place = 0; place < word32(data + 44); place++) {
        const unsigned char *segment = data + HEAD_BYTES + (uint64_t)place * SEGMENT_BYTES;
        uint64_t address = word64(segment), size = word64(segment + 16);
        copy(device->memory + address, data + word64(segment + 8), size);
        if (device->to_device) device->to_device(device->context, address, size);
    }
    device->program_address = word64(data + 16);
    device->program_count = word32(data + 40);
    return COVENANT_OK;
}

static unsigned stored_bytes(uint8_t type) {
    return type == COVENANT_I64 ? 8 : type == COVENANT_I32 || type == COVENANT_F32 ? 4 : 1;
}

static float float_of(uint32_t bits) {
    float value;
    copy(&value, &bits, sizeof value);
    return value;
}

/* To the nearest integer, ties to even. Adding 2^23 leaves no room for a fraction; a float beyond it has none. */
static float nearest(float value) {
    volatile float sum;
    if (!(value > -8388608.0f && value < 8388608.0f)) return value;
    if (value < 0) {
        sum = value - 8388608.0f;
        return sum + 8388608.0f;
    }
    sum = value + 8388608.0f;
    return sum - 8388608.0f;
}

static int quantise(const covenant_tensor *tensor, float value, int32_t *result) {
    static const double low[3] = {-128, 0, -2147483648.0}, high[3] = {127, 255, 2147483647.0};
    volatile float steps = value / float_of(tensor->scale_bits);
    double number = (double)nearest(steps) + tensor->zero_point;
    if (value != value) return COVENANT_E_NAN;
    if (number < low[tensor->stored]) number = low[tensor->stored];
    if (number > high[tensor->stored]) number = high[tensor->stored];
    *result = (int32_t)number;
    return COVENANT_OK;
}

/* Bits of element `place` of the caller's array as they are stored. */
static int element_in(const covenant_tensor *tensor, const void *array, uint64_t place, uint32_t *bits) {
    const unsigned char *bytes = (const unsigned char *)array + place * stored_bytes(tensor->type);
    int32_t number;
    float value;
    int result = COVENANT_OK;
    if (tensor->type == COVENANT_F32 && tensor->stored != COVENANT_F32) {
        copy(&value, bytes, sizeof value);
        result = quantise(tensor, value, &number);
        *bits = result == COVENANT_OK ? (uint32_t)number : 0;
    } else if (stored_bytes(tensor->type) == 4) {
        copy(bits, bytes, 4);
    } else {
        *bits = bytes[0];
    }
    return result;
}

/* Where element (n, c, y, x) of what is stored stands in the caller's array; 0 if it is a place beside the tensor. */
static int source_of(const covenant_tensor *tensor, const uint32_t at[4], uint64_t *place) {
    const uint32_t *shape = tensor->unfold ? tensor->shape : tensor->stored_shape, *u = tensor->unfold;
    uint64_t channel = at[1], y = at[2], x = at[3];
    if (u) {
        uint64_t tap = channel / shape[1];
        y = y * u[2] + tap / u[1] * u[4];
        x = x * u[3] + tap % u[1] * u[5];
        channel %= shape[1];
        if (y < u[6] || x < u[7] || y - u[6] >= shape[2] || x - u[7] >= shape[3]) return 0;
        y -= u[6];
        x -= u[7];
    }
    *place = (((uint64_t)at[0] * shape[1] + channel) * shape[2] + y) * shape[3] + x;
    return 1;
}

/* Byte of element (n, c, y, x) of what is stored, from the tensor's start. */
static uint64_t stored_at(const covenant_tensor *tensor, const uint32_t at[4]) {
    const uint32_t *shape = tensor->stored_shape;
    uint64_t channels = ((uint64_t)shape[1] + tensor->lanes - 1) / tensor->lanes * tensor->lanes;
    return ((((uint64_t)at[0] * shape[2] + at[2]) * shape[3] + at[3]) * channels + at[1]) * stored_bytes(tensor->stored);
}

int covenant_pack(covenant_device *device, const covenant_tensor *tensor, const void *array) {
    const uint32_t *shape = tensor->stored_shape;
    unsigned char *memory = device->memory + tensor->address;
    unsigned size = stored_bytes(tensor->stored);
    uint32_t at[4], bits;
    uint64_t place;
    int result;
    if (!fits(device, tensor->address, tensor->bytes)) return COVENANT_E_MEMORY;
    for (place = 0; place < tensor->bytes; place++) memory[place] = 0;
    for (at[0] = 0; at[0] < shape[0]; at[0]++)
        for (at[2] = 0; at[2] < shape[2]; at[2]++)
            for (at[3] = 0; at[3] < shape[3]; at[3]++)
                for (at[1] = 0; at[1] < shape[1]; at[1]++) {
                    bits = (uint32_t)tensor->zero_point;
                    if (source_of(tensor, at, &place)) {
                        result = element_in(tensor, array, place, &bits);
                        if (result != COVENANT_OK) return result;
                    }
                    if (size == 4) put32(memory + stored_at(tensor, at), bits);
                    else memory[stored_at(tensor, at)] = (unsigned char)bits;
                }
    if (device->to_device) device->to_device(device->context, tensor->address, tensor->bytes);
    return COVENANT_OK;
}

static void element_out(const covenant_tensor *tensor, uint32_t bits, void *array, uint64_t place) {
    unsigned char *bytes = (unsigned char *)array + place * stored_bytes(tensor->type);
    uint32_t raw = bits;
    int64_t wide;
    int32_t number;
    float value;
    if (tensor->stored == COVENANT_I8 && bits & 0x80) bits |= 0xffffff00u;
    copy(&number, &bits, sizeof number);
    if (tensor->function) {
        copy(bytes, &tensor->function[raw & 0xff], 4);
    } else if (tensor->type == COVENANT_F32 && tensor->stored != COVENANT_F32) {
        bits -= (uint32_t)tensor->zero_point;
        copy(&number, &bits, sizeof number);
        value = (float)number;
        value *= float_of(tensor->scale_bits);
        copy(bytes, &value, sizeof value);
    } else if (tensor->type == COVENANT_I64) {
        wide = number;
        copy(bytes, &wide, sizeof wide);
    } else if (stored_bytes(tensor->type) == 4) {
        copy(bytes, &bits, 4);
    } else {
        bytes[0] = (unsigned char)bits;
    }
}

int covenant_unpack(covenant_device *device, const covenant_tensor *tensor, void *array) {
    const uint32_t *shape = tensor->stored_shape;
    const unsigned char *memory = device->memory + tensor->address;
    uint32_t at[4];
    uint64_t place;
    if (!fits(device, tensor->address, tensor->bytes)) return COVENANT_E_MEMORY;
    if (device->from_device) device->from_device(device->context, tensor->address, tensor->bytes);
    for (at[0] = 0; at[0] < shape[0]; at[0]++)
        for (at[2] = 0; at[2] < shape[2]; at[2]++)
            for (at[3] = 0; at[3] < shape[3]; at[3]++)
                for (at[1] = 0; at[1] < shape[1]; at[1]++) {
                    const unsigned char *from = memory + stored_at(tensor, at);
                    if (source_of(tensor, at, &place))
                        element_out(tensor, stored_bytes(tensor->stored) == 4 ? word32(from) : from[0], array, place);
                }
    return COVENANT_OK;
}

int covenant_start(covenant_device *device) {
    uint32_t status;
    if (device->program_count == 0) return COVENANT_E_UNLOADED;
    status = get(device, COVENANT_REG_STATUS);
    if (status & COVENANT_STATUS_BUSY) return COVENANT_E_BUSY;
    if (status & COVENANT_STATUS_ERROR) return COVENANT_E_FAILED;
    set(device, COVENANT_REG_PROGRAM_ADDRESS_LO, (uint32_t)device->program_address);
    set(device, COVENANT_REG_PROGRAM_ADDRESS_HI, (uint32_t)(device->program_address >> 32));
    set(device, COVENANT_REG_PROGRAM_COUNT, device->program_count);
    set(device, COVENANT_REG_PROGRAM_FINGERPRINT_LO, (uint32_t)device->fingerprint);
    set(device, COVENANT_REG_PROGRAM_FINGERPRINT_HI, (uint32_t)(device->fingerprint >> 32));
    set(device, COVENANT_REG_CONTROL, COVENANT_CONTROL_START | (device->wait ? COVENANT_CONTROL_IRQ_ENABLE : 0u));
    return COVENANT_OK;
}

int covenant_poll(covenant_device *device) {
    uint32_t status = get(device, COVENANT_REG_STATUS);
    if (status & COVENANT_STATUS_ERROR) {
        set(device, COVENANT_REG_CONTROL, 0);
        return (int)get(device, COVENANT_REG_ERROR_CODE);
    }
    if (!(status & COVENANT_STATUS_DONE)) return COVENANT_PENDING;
    set(device, COVENANT_REG_CONTROL, 0);
    return COVENANT_OK;
}

int covenant_run(covenant_device *device, uint64_t polls) {
    uint64_t tried;
    int result = covenant_start(device);
    if (result != COVENANT_OK) return result;
    for (tried = 0; polls == 0 || tried < polls; tried++) {
        if (device->wait && device->wait(device->context) != 0) return COVENANT_E_WAIT;
        result = covenant_poll(device);
        if (result != COVENANT_PENDING) return result;
    }
    return COVENANT_E_TIMEOUT;
}

int covenant_reset(covenant_device *device, uint64_t polls) {
    uint64_t tried;
    set(device, COVENANT_REG_CONTROL, COVENANT_CONTROL_SOFT_RESET);
    for (tried = 0; polls == 0 || tried < polls; tried++)
        if (get(device, COVENANT_REG_STATUS) & COVENANT_STATUS_IDLE) return COVENANT_OK;
    return COVENANT_E_TIMEOUT;
}

covenant_error covenant_fault(const covenant_device *device) {
    covenant_error error;
    error.code = get(device, COVENANT_REG_ERROR_CODE);
    error.engine = get(device, COVENANT_REG_ERROR_ENGINE);
    error.address = get(device, COVENANT_REG_ERROR_ADDRESS);
    return error;
}

uint64_t covenant_cycles(const covenant_device *device) {
    return (uint64_t)get(device, COVENANT_REG_CYCLES_LO) | (uint64_t)get(device, COVENANT_REG_CYCLES_HI) << 32;
}

covenant_counters covenant_count(const covenant_device *device, uint32_t engine) {
    covenant_counters counters;
    uint32_t first = COVENANT_REG_ENGINES + engine * COVENANT_REG_ENGINE_BYTES;
    counters.retired = get(device, first);
    counters.busy = get(device, first + 4);
    counters.stall = get(device, first + 8);
    return counters;
}

const char *covenant_text(int result) {
    static const char *const machine[] = COVENANT_ERROR_TEXTS;
    static const char *const own[] = {
        "the run has not ended yet", "no machine answers at these registers", "the machine has another register map than this driver",
        "the machine's fingerprint is another: the program or the header was made for another architecture", "the image is damaged or cut off, or is no image",
        "it does not fit into the external memory", "a run is under way", "the run did not end within the polls allowed", "no program is loaded",
        "an input is not a number, which has no quantised value", "waiting for the interrupt failed",
        "the last run ended in an error: reset the machine first",
    };
    if (result >= 0 && (size_t)result < sizeof machine / sizeof *machine) return machine[result];
    if (result < 0 && (size_t)(-(result + 1)) < sizeof own / sizeof *own) return own[-(result + 1)];
    return "a result that this driver does not know";
}
