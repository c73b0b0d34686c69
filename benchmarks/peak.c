/* What one core multiplies and adds at best: fp32, bf16 and int8 of AVX-512, from registers; with AMX, bf16 and int8 of its tiles.
   The floor of engines.py.

    cc -O2 -march=cooperlake -o peak benchmarks/peak.c && ./peak          (sapphirerapids instead of cooperlake: with AMX, on Linux)

Twelve independent sums hide the latency of an instruction. CPU time of the process; the best of fifteen rounds, in thousand millions
of operations a second (a multiplication and an addition are two). */

#include <immintrin.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#ifdef __AMX_TILE__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define TWELVE(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)
#define SUM(i) __m512 a##i = _mm512_set1_ps(i * 1e-3f); __m512i q##i = _mm512_setzero_si512();
#define FP32(i) __asm__ volatile("vfmadd231ps %1,%1,%0" : "+v"(a##i) : "v"(factor));
#define BF16(i) __asm__ volatile("vdpbf16ps %1,%1,%0" : "+v"(a##i) : "v"(factor));
#define INT8(i) __asm__ volatile("vpdpbusd %1,%1,%0" : "+v"(q##i) : "v"(ones));
#define MEASURE(name, operations, instruction)                        \
    {                                                                 \
        double best = 0;                                              \
        for (int round = 0; round < 15; round++) {                    \
            double time = now();                                      \
            for (long n = 0; n < ROUNDS; n++) { TWELVE(instruction) } \
            double rate = 12.0 * ROUNDS * operations / (now() - time) / 1e9; \
            if (rate > best) best = rate;                             \
        }                                                             \
        printf("%s %.0f\n", name, best);                              \
    }

enum { ROUNDS = 5000000 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return time.tv_sec + 1e-9 * time.tv_nsec;
}

#ifdef __AMX_TILE__
/* Four sums of 16 x 16 in tiles 0 to 3, from 16 rows of 64 bytes in tiles 4 to 7. */
#define FOUR(I)                                                                         \
    __asm__ volatile(I " %tmm6,%tmm4,%tmm0\n" I " %tmm7,%tmm4,%tmm1\n" I " %tmm6,%tmm5,%tmm2\n" \
                       I " %tmm7,%tmm5,%tmm3");
#define TILES(name, operations, instruction)                                           \
    {                                                                                  \
        double best = 0;                                                               \
        for (int round = 0; round < 15; round++) {                                     \
            double time = now();                                                       \
            for (long n = 0; n < ROUNDS / 4; n++) { FOUR(instruction) }              \
            double rate = (double)ROUNDS * operations / (now() - time) / 1e9;          \
            if (rate > best) best = rate;                                              \
        }                                                                              \
        printf("%s %.0f\n", name, best);                                               \
    }

static void amx(void) {
    enum { ASK_FOR_STATE = 0x1023, TILE_DATA = 18 }; /* arch_prctl(2) of Linux */
    struct { unsigned char palette, start, reserved[14]; unsigned short bytes[16]; unsigned char rows[16]; } shape;
    if (syscall(SYS_arch_prctl, ASK_FOR_STATE, TILE_DATA)) {
        puts("AMX is not there");
        return;
    }
    memset(&shape, 0, sizeof shape);
    shape.palette = 1;
    for (int tile = 0; tile < 8; tile++) {
        shape.bytes[tile] = 64;
        shape.rows[tile] = 16;
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(shape));
    __asm__ volatile("tilezero %tmm0\ntilezero %tmm1\ntilezero %tmm2\ntilezero %tmm3\n"
                     "tilezero %tmm4\ntilezero %tmm5\ntilezero %tmm6\ntilezero %tmm7");
    TILES("bf16 of AMX", 16384, "tdpbf16ps")
    TILES("int8 of AMX", 32768, "tdpbusd")
    __asm__ volatile("tilerelease");
}
#endif

int main(void) {
    TWELVE(SUM)
    __m512 factor = _mm512_set1_ps(0.999f);
    __m512i ones = _mm512_set1_epi8(1);
    MEASURE("fp32", 32, FP32)
    MEASURE("bf16", 64, BF16)
    MEASURE("int8", 128, INT8)
#ifdef __AMX_TILE__
    amx();
#endif
}
