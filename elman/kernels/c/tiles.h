/* The parts that products.c and sums.c share: panels, tiles and sharing out.
 *
 * A matrix (K, N) is packed once into panels of W vectors of columns: panel after panel, for each
 * k the W * V numbers of that row. A tile is R rows by one panel, its sums in registers; the rows
 * of A are read number by number. The panel stays in the nearest cache while tiles go down the
 * rows. T, I, V, DOUBLE, R, W, SHAPES and TABLE come before this file.
 */

enum { LINE = 64 / sizeof(T) }; /* numbers in a line of the cache */

/* A panel of K rows, `wide` numbers each, of which the matrix has the first `left`. */
static void pack_panel(long K, const T *p, long sk, long sj, T *out, long wide, long left) {
    if (sj == 1) {
        for (long k = 0; k < K; k++, p += sk, out += wide)
            for (long i = 0; i < wide; i += V) *(uvec *)(out + i) = load(p + i, left - i);
        return;
    }
    long k = 0;
    if (sk == 1) /* transposed: square pieces, read along their columns and written along rows */
        for (; k + V <= K; k += V)
            for (long i = 0; i < wide; i += V) {
                vec square[V];
#pragma GCC unroll 16
                for (long c = 0; c < V; c++)
                    square[c] = i + c < left ? load(p + (i + c) * sj + k, V) : splat(0);
                turn(square);
#pragma GCC unroll 16
                for (long r = 0; r < V; r++) *(uvec *)(out + (k + r) * wide + i) = square[r];
            }
    for (; k < K; k++)
        for (long i = 0; i < wide; i++) out[k * wide + i] = i < left ? p[k * sk + i * sj] : 0;
}

/* The element of A at (r, k) is A[r * lda + k * sk]; rows of the panel are `step` apart. With
 * `ahead`, the K lines from `soon` on are brought into the second cache, for tiles to come. */
INLINE void tile(const int rows, const int vectors, long K, const T *A, long lda, const long sk,
                 const T *panel, long step, const T *init, long ldi, T *C, long ldc,
                 long columns, const int ahead, const T *soon) {
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
        for (; k + 1 < K; k += 2, panel += 2 * step, soon += ahead * 2 * LINE) {
            if (ahead) __builtin_prefetch(soon, 0, 2), __builtin_prefetch(soon + LINE, 0, 2);
#pragma GCC unroll 16
            for (int w = 0; w < vectors; w++) {
                vec b = *(const uvec *)(panel + w * V);
                vec c = *(const uvec *)(panel + step + w * V);
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
        for (long k = 0; k < K; k++, panel += step, soon += ahead * LINE) {
            vec b[W];
            if (ahead) __builtin_prefetch(soon, 0, 2);
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

#define TILE(name, r, w, lda, sk, ahead) \
    static __attribute__((noinline)) void name##_##r##_##w( \
        long K, const T *A, long down, const T *panel, long step, const T *init, long ldi, T *C, \
        long ldc, long columns, const T *soon) { \
        tile(r, w, K, A, lda, sk, panel, step, init, ldi, C, ldc, columns, ahead, soon); \
    }

typedef void (*Tile)(long, const T *, long, const T *, long, const T *, long, T *, long, long,
                     const T *);

/* The arguments of a large product. */

typedef void (*Product)(long, long, long, long, long, const T *, long, const T *, const T *, long,
                        T *, long);

typedef struct {
    long threads, rows, K, N;
    const T *A;
    long lda;
    const T *G; /* packed in `by_rows`, as it is in `of_rows` */
    long ldg;
    T *C;
    const T *init; /* what C begins from: C itself, a row for all, or NULL for zeros */
    long ldi;
    T *room; /* of_rows: of_rows_room() numbers a thread */
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
    int (*thread)(void);
    int (*team)(void);
    long flush;
    Product product; /* by_rows */
} Large;

/* Rows of A and G at a time, so that a panel of G stays in the first cache, and strips of R columns
 * of A, so that all of it stays in the second. */
enum { CHUNK = 192, STRIPS = 64 };

/* Panels that read a strip from which it is put in order for them. */
enum { WORTH_PACKING = 2 };

typedef struct { const Large *a; void (*part)(const Large *, long); } Share;

/* The shares of one thread; the pool may have given fewer threads than were asked for. */
static void in_pool(void *p) {
    const Share *share = p;
    const Large *a = share->a;
    unsigned long old = a->flush ? flushing() : 0;
    long team = a->threads > 1 ? a->team() : 1;
    for (long me = team > 1 ? a->thread() : 0; me < a->threads; me += team) share->part(a, me);
    if (a->flush) flushed(old);
}

static void share_out(const Large *a, void (*part)(const Large *, long)) {
    Share share = {a, part};
    if (a->threads > 1) a->parallel(in_pool, &share, (unsigned)a->threads, 0);
    else in_pool(&share);
}
