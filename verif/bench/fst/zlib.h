// The two functions of zlib that Verilator's FST writer calls, so that waveforms need no library of the system. Blocks are stored, not compressed:
// the writer takes the smaller of what it gave and what it got, which is then its own.
#ifndef COVENANT_ZLIB_H_
#define COVENANT_ZLIB_H_

typedef unsigned char Bytef;
typedef unsigned long uLong;
typedef unsigned long uLongf;
#define Z_OK 0
#define Z_BUF_ERROR (-5)

inline uLong compressBound(uLong size) { return size + 5 * (size / 65535 + 1) + 6; }

// Stored blocks of at most 65,535 bytes, each behind its length and that length inverted; Adler-32 of the whole at the end.
inline int compress2(Bytef* target, uLongf* target_size, const Bytef* source, uLong size, int /*level*/) {
    if (*target_size < compressBound(size)) return Z_BUF_ERROR;
    Bytef* out = target;
    *out++ = 0x78;
    *out++ = 0x01;
    uLong a = 1, b = 0, at = 0;
    do {
        const uLong count = size - at < 65535 ? size - at : 65535;
        *out++ = at + count == size;
        *out++ = static_cast<Bytef>(count & 255);
        *out++ = static_cast<Bytef>(count >> 8);
        *out++ = static_cast<Bytef>(~count & 255);
        *out++ = static_cast<Bytef>(~count >> 8 & 255);
        for (uLong i = 0; i < count; ++i) {
            *out++ = source[at + i];
            a = (a + source[at + i]) % 65521;
            b = (b + a) % 65521;
        }
        at += count;
    } while (at < size);
    for (int shift = 24; shift >= 0; shift -= 8) *out++ = static_cast<Bytef>((b << 16 | a) >> shift & 255);
    *target_size = static_cast<uLongf>(out - target);
    return Z_OK;
}

#endif
