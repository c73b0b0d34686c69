/* What one core multiplies and adds at best: fp32, bf16 and int8 of AVX-512, from registers. The floor of engines.py.

    cc -O2 -march=cooperlake -o peak benchmarks/peak.c && ./peak

Twelve independent sums hide the latency of an instruction. CPU time of the process; the best of fifteen rounds, in thousand millions
of operations a second (a multiplication and an addition are two). */

#include <immintrin.h>
#include <stdio.h>
#include <time.h>

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

int main(void) {
    TWELVE(SUM)
    __m512 factor = _mm512_set1_ps(0.999f);
    __m512i ones = _mm512_set1_epi8(1);
    MEASURE("fp32", 32, FP32)
    MEASURE("bf16", 64, BF16)
    MEASURE("int8", 128, INT8)
}
