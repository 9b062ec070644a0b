/* Products of a few rows with a packed matrix, the work of a recurrence.
 *
 * A matrix (K, N) is packed once into panels of W vectors of columns: panel after panel, for each
 * k the W * V numbers of that row. A tile is R rows by one panel, its sums in registers; the rows
 * of A are read number by number. The panel stays in the nearest cache while tiles go down the
 * rows. T, I, V, DOUBLE, R and W come before this file.
 */

/* The matrix has element (k, j) at p[k * sk + j * sj]. */
void pack(long K, long N, const T *p, long sk, long sj, T *out) {
    for (long j = 0; j < N; j += W * V) {
        long left = N - j, wide = (left < W * V ? (left + V - 1) / V : W) * V;
        for (long k = 0; k < K; k++, out += wide) {
            const T *row = p + k * sk + j * sj;
            if (sj == 1 && left >= wide) memcpy(out, row, wide * sizeof(T));
            else
                for (long i = 0; i < wide; i++) out[i] = i < left ? row[i * sj] : 0;
        }
    }
}

/* The element of A at (r, k) is A[r * lda + k * sk]. */
INLINE void tile(const int rows, const int vectors, long K, const T *A, long lda, const long sk,
                 const T *panel, const T *init, long ldi, T *C, long ldc, long columns) {
    vec acc[R][W];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (int w = 0; w < vectors; w++)
            acc[r][w] = init ? load(init + r * ldi + w * V, columns - w * V) : splat(0);
    if (rows * vectors < 8) {
        /* Too few sums to hide how long one addition takes: two of each. */
        vec odd[R][W];
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 16
            for (int w = 0; w < vectors; w++) odd[r][w] = splat(0);
        long k = 0;
        for (; k + 1 < K; k += 2, panel += 2 * vectors * V) {
#pragma GCC unroll 16
            for (int w = 0; w < vectors; w++) {
                vec b = *(const uvec *)(panel + w * V);
                vec c = *(const uvec *)(panel + (vectors + w) * V);
#pragma GCC unroll 16
                for (int r = 0; r < rows; r++) {
                    acc[r][w] += A[r * lda + k * sk] * b;
                    odd[r][w] += A[r * lda + (k + 1) * sk] * c;
                }
            }
        }
        if (k < K)
#pragma GCC unroll 16
            for (int w = 0; w < vectors; w++)
#pragma GCC unroll 16
                for (int r = 0; r < rows; r++)
                    acc[r][w] += A[r * lda + k * sk] * *(const uvec *)(panel + w * V);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 16
            for (int w = 0; w < vectors; w++) acc[r][w] += odd[r][w];
    } else {
        for (long k = 0; k < K; k++, panel += vectors * V) {
            vec b[W];
#pragma GCC unroll 16
            for (int w = 0; w < vectors; w++) b[w] = *(const uvec *)(panel + w * V);
#pragma GCC unroll 16
            for (int r = 0; r < rows; r++) {
                vec a = splat(A[r * lda + k * sk]);
#pragma GCC unroll 16
                for (int w = 0; w < vectors; w++) acc[r][w] += a * b[w];
            }
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (int w = 0; w < vectors; w++) store(C + r * ldc + w * V, columns - w * V, acc[r][w]);
}

#define TILE(r, w) \
    static __attribute__((noinline)) void tile_##r##_##w( \
        long K, const T *A, long lda, const T *panel, const T *init, long ldi, T *C, long ldc, \
        long columns) { \
        tile(r, w, K, A, lda, 1, panel, init, ldi, C, ldc, columns); \
    } \
    static __attribute__((noinline)) void down_##r##_##w( \
        long K, const T *A, long sk, const T *panel, const T *init, long ldi, T *C, long ldc, \
        long columns) { \
        tile(r, w, K, A, 1, sk, panel, init, ldi, C, ldc, columns); \
    }
#if W == 4
#define ROW(r) TILE(r, 1) TILE(r, 2) TILE(r, 3) TILE(r, 4)
#define NAMES(f, r) {f##_##r##_1, f##_##r##_2, f##_##r##_3, f##_##r##_4}
#else
#define ROW(r) TILE(r, 1) TILE(r, 2)
#define NAMES(f, r) {f##_##r##_1, f##_##r##_2}
#endif
ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6)

typedef void (*Tile)(long, const T *, long, const T *, const T *, long, T *, long, long);
#define ALL(f) {NAMES(f, 1), NAMES(f, 2), NAMES(f, 3), NAMES(f, 4), NAMES(f, 5), NAMES(f, 6)}
static const Tile tiles[R][W] = ALL(tile), downs[R][W] = ALL(down);

/* C = init + A @ matrix. init has rows ldi apart (0: the same for all), or is NULL for zeros;
 * it may be C itself. */
void product(long rows, long K, long N, const T *A, long lda, const T *packed, const T *init,
             long ldi, T *C, long ldc) {
    long blocks = (rows + R - 1) / R;
    for (long j = 0; j < N; j += W * V) {
        long left = N - j, vectors = left >= W * V ? W : (left + V - 1) / V;
        for (long b = 0, r = 0; b < blocks; b++) {
            long here = (rows - r + blocks - b - 1) / (blocks - b); /* blocks of like height */
            tiles[here - 1][vectors - 1](K, A + r * lda, lda, packed, init ? init + r * ldi + j : 0,
                                         ldi, C + r * ldc + j, ldc, left);
            r += here;
        }
        packed += K * vectors * V;
    }
}

/* The two large products after a loop over time, each thread's share of them. */

typedef struct {
    long threads, rows, K, N;
    const T *A;
    long lda;
    const T *G; /* packed in `by_rows`, as it is in `of_rows` */
    long ldg;
    T *C;
    long add;     /* whether C holds something already */
    T *room;      /* of_rows: CHUNK * W * V numbers a thread */
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
    int (*thread)(void);
    long flush;
} Large;

enum { CHUNK = 256 }; /* rows of A and G that stay in the second cache */

/* C (rows, N) = A (rows, K) @ the packed matrix. */
static void by_rows_part(void *p) {
    const Large *a = p;
    long me = a->threads > 1 ? a->thread() : 0;
    long lo = a->rows * me / a->threads, hi = a->rows * (me + 1) / a->threads;
    for (long r = lo; r < hi; r += CHUNK) {
        long here = hi - r < CHUNK ? hi - r : CHUNK;
        T *C = a->C + r * a->N;
        product(here, a->K, a->N, a->A + r * a->lda, a->lda, a->G, a->add ? C : 0, a->N, C, a->N);
    }
}

/* C (K, N) = A.T @ G for A (rows, K), G (rows, N): columns of C are shared out by panels. */
static void of_rows_part(void *p) {
    const Large *a = p;
    long me = a->threads > 1 ? a->thread() : 0, panels = (a->N + W * V - 1) / (W * V);
    T *packed = a->room + me * CHUNK * W * V;
    for (long q = panels * me / a->threads; q < panels * (me + 1) / a->threads; q++) {
        long j = q * W * V, left = a->N - j, vectors = left >= W * V ? W : (left + V - 1) / V;
        for (long r = 0; r < a->rows; r += CHUNK) {
            long depth = a->rows - r < CHUNK ? a->rows - r : CHUNK;
            pack(depth, left < W * V ? left : W * V, a->G + r * a->ldg + j, a->ldg, 1, packed);
            for (long k = 0; k < a->K; k += R) {
                long here = a->K - k < R ? a->K - k : R;
                T *C = a->C + k * a->N + j;
                downs[here - 1][vectors - 1](depth, a->A + r * a->lda + k, a->lda, packed,
                                             r || a->add ? C : 0, a->N, C, a->N, left);
            }
        }
    }
}

static void by_rows_flushed(void *p) {
    unsigned long old = ((const Large *)p)->flush ? flushing() : 0;
    by_rows_part(p);
    if (((const Large *)p)->flush) flushed(old);
}

static void of_rows_flushed(void *p) {
    unsigned long old = ((const Large *)p)->flush ? flushing() : 0;
    of_rows_part(p);
    if (((const Large *)p)->flush) flushed(old);
}

void by_rows(Large *a) {
    if (a->threads > 1) a->parallel(by_rows_flushed, a, (unsigned)a->threads, 0);
    else by_rows_flushed(a);
}

void of_rows(Large *a) {
    if (a->threads > 1) a->parallel(of_rows_flushed, a, (unsigned)a->threads, 0);
    else of_rows_flushed(a);
}
