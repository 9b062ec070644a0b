/* Products with a packed matrix of bfloat16 numbers, as those of products.c: rows of A are rounded
 * to such, sums are in float. A panel holds two rows of the matrix at a time, the two numbers of a
 * column side by side. */
typedef unsigned short Half;
typedef unsigned int Pair; /* the number of the first row in the lower half */
typedef Pair pairs __attribute__((vector_size(V * sizeof(Pair))));

static Pair rounded(T a) { /* to nearest, ties to even; a NaN stays one */
    Pair bits;
    memcpy(&bits, &a, sizeof bits);
    return a != a ? (bits >> 16) | 64 : (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
}

void pack16(long K, long N, long group, const Half *p, long sk, long sj, Half *out) {
    for (long g = 0; g < N; g += group)
        for (long j = 0; j < group; j += W * V) {
            long left = group - j, wide = (left < W * V ? (left + V - 1) / V : W) * V;
            for (long k = 0; k < K; k += 2, out += 2 * wide)
                for (long i = 0; i < wide; i++) {
                    const Half *at = p + (g + j + i) * sj;
                    out[2 * i] = i < left ? at[k * sk] : 0;
                    out[2 * i + 1] = i < left && k + 1 < K ? at[(k + 1) * sk] : 0;
                }
        }
}

/* acc + a * b for both rows, as the processor has it and for any. */
#define BY_DOTS(acc, a, b) \
    (vec)_mm512_dpbf16_ps((__m512)(acc), (__m512bh)((pairs){0} + (a)), (__m512bh)(b))
#define BY_HALVES(acc, a, b) \
    ((acc) + (vec)((pairs){0} + ((a) << 16)) * (vec)((b) << 16) + \
     (vec)((pairs){0} + ((a) & 0xFFFF0000u)) * (vec)((b) & 0xFFFF0000u))

/* K counts pairs; rows of the panel are `step` pairs apart. */
#define TEMPLATE16(name, TARGET, ADD) \
    TARGET INLINE void name(const int rows, const int vectors, long K, const Pair *A, \
                            const Pair *panel, long step, const T *init, long ldi, T *C, \
                            long ldc, long columns) { \
        vec acc[R][W]; \
        _Pragma("GCC unroll 16") for (int r = 0; r < rows; r++) \
            _Pragma("GCC unroll 16") for (int w = 0; w < vectors; w++) acc[r][w] = \
                init ? load(init + r * ldi + w * V, columns - w * V) : splat(0); \
        for (long k = 0; k < K; k++, panel += step) { \
            pairs b[W]; \
            _Pragma("GCC unroll 16") for (int w = 0; w < vectors; w++) \
                memcpy(&b[w], panel + w * V, sizeof b[w]); \
            _Pragma("GCC unroll 16") for (int r = 0; r < rows; r++) \
                _Pragma("GCC unroll 16") for (int w = 0; w < vectors; w++) acc[r][w] = \
                    ADD(acc[r][w], A[r * K + k], b[w]); \
        } \
        _Pragma("GCC unroll 16") for (int r = 0; r < rows; r++) \
            _Pragma("GCC unroll 16") for (int w = 0; w < vectors; w++) \
                store(C + r * ldc + w * V, columns - w * V, acc[r][w]); \
    }
#define TILE16(name, TARGET, r, w) \
    TARGET static __attribute__((noinline)) void name##_##r##_##w( \
        long K, const Pair *A, const Pair *panel, long step, const T *init, long ldi, T *C, \
        long ldc, long columns) { \
        name(r, w, K, A, panel, step, init, ldi, C, ldc, columns); \
    }

typedef void (*Tile16)(long, const Pair *, const Pair *, long, const T *, long, T *, long, long);
#define ANY
TEMPLATE16(half, ANY, BY_HALVES)
#define BY_HALF(r, w) TILE16(half, ANY, r, w)
SHAPES(BY_HALF)
static const Tile16 halves[R][W] = TABLE(half);

#if defined(__x86_64__) && V == 16
#define WITH_DOTS __attribute__((target("avx512bf16")))
TEMPLATE16(dot, WITH_DOTS, BY_DOTS)
#define BY_DOT(r, w) TILE16(dot, WITH_DOTS, r, w)
SHAPES(BY_DOT)
static const Tile16 dots[R][W] = TABLE(dot);
static const Tile16 (*tiles16(void))[W] {
    return __builtin_cpu_supports("avx512bf16") ? dots : halves;
}
#else
static const Tile16 (*tiles16(void))[W] { return halves; }
#endif

enum { DEPTH16 = 8192 }; /* pairs of a block of rows of A that are rounded at a time */

void product16(long rows, long K, long N, long lo, long hi, const T *A, long lda,
               const T *packed, const T *init, long ldi, T *C, long ldc) {
    const Tile16(*tiles)[W] = tiles16();
    long depth = (K + 1) / 2, height = depth * R > DEPTH16 ? DEPTH16 / depth : R;
    height = height < 1 ? 1 : height;
    Pair block[depth * height];
    for (long r = 0; r < rows; r += height) {
        long here = rows - r < height ? rows - r : height;
        for (long i = 0; i < here; i++)
            for (long k = 0; k < depth; k++) {
                const T *at = A + (r + i) * lda + 2 * k;
                block[i * depth + k] = rounded(at[0]) | (2 * k + 1 < K ? rounded(at[1]) << 16 : 0);
            }
        for (long j = lo; j < hi;) {
            long first = j / (W * V) * (W * V), past = first + W * V < hi ? first + W * V : hi;
            long left = N - first, step = (left >= W * V ? W : (left + V - 1) / V) * V;
            const Pair *panel = (const Pair *)packed + first * depth + (j - first);
            tiles[here - 1][(past - j + V - 1) / V - 1](
                depth, block, panel, step, init ? init + r * ldi + j : 0, ldi, C + r * ldc + j,
                ldc, past - j);
            j = past;
        }
    }
}
