// The two functions of liblz4 that Verilator's FST writer calls, in the same block format, so that waveforms need no library of the system.
//
// A block is a row of sequences: a token (high half: literals, low half: length of the match less 4; 15 goes on in further bytes), the literals,
// two bytes of distance, low byte first. The last five bytes are literals, and no match begins in the last twelve.
#ifndef COVENANT_LZ4_H_
#define COVENANT_LZ4_H_

#include <cstdint>
#include <cstring>
#include <vector>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

namespace covenant_lz4 {

inline uint32_t four(const uint8_t* at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

// What of a length of 15 or more does not stand in the token.
inline uint8_t* further(uint8_t* out, int length) {
    if (length < 15) return out;
    for (length -= 15; length >= 255; length -= 255) *out++ = 255;
    *out++ = static_cast<uint8_t>(length);
    return out;
}

inline uint8_t* literals(uint8_t* out, const uint8_t* from, int count, int match) {
    *out++ = static_cast<uint8_t>((count < 15 ? count : 15) << 4 | (match < 15 ? match : 15));
    out = further(out, count);
    if (count) memcpy(out, from, static_cast<size_t>(count));
    return out + count;
}

}  // namespace covenant_lz4

// Returns the bytes written; `capacity` must be at least the bound of `size`, else 0.
inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
    using namespace covenant_lz4;
    if (capacity < LZ4_compressBound(size)) return 0;
    constexpr int kBits = 12, kDistance = 65535, kMatch = 4, kTail = 5, kLast = 12;
    const uint8_t* const in = reinterpret_cast<const uint8_t*>(source);
    uint8_t* out = reinterpret_cast<uint8_t*>(target);
    std::vector<int> seen(1 << kBits, -1);  // where the four bytes of a hash were last
    int done = 0;
    for (int at = 0; at + kLast <= size;) {
        int& entry = seen[(four(in + at) * 2654435761u) >> (32 - kBits)];
        const int before = entry;
        entry = at;
        if (before < 0 || at - before > kDistance || four(in + before) != four(in + at)) {
            ++at;
            continue;
        }
        int length = kMatch;
        while (at + length < size - kTail && in[before + length] == in[at + length]) ++length;
        out = literals(out, in + done, at - done, length - kMatch);
        *out++ = static_cast<uint8_t>((at - before) & 255);
        *out++ = static_cast<uint8_t>((at - before) >> 8);
        out = further(out, length - kMatch);
        done = at += length;
    }
    out = literals(out, in + done, size - done, 0);
    return static_cast<int>(out - reinterpret_cast<uint8_t*>(target));
}

#endif
