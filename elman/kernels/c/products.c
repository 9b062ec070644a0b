/* Products of a few rows with a packed matrix, the work of a recurrence.
 *
 * A matrix (K, N) is packed once into panels of W vectors of columns: panel after panel, for each
 * k the W * V numbers of that row. A tile is R rows by one panel, its sums in registers; the rows
 * of A are read number by number. The panel stays in the nearest cache while tiles go down the
 * rows. T, I, V, DOUBLE, R and W come before this file.
 */

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

/* Matrices to pack, their panels shared out. */
typedef struct { long K, N, group; const T *p; long sk, sj; T *out; } Matrix;

typedef struct {
    long count, threads;
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
    int (*thread)(void);
    int (*team)(void);
    Matrix matrices[];
} Packing;

static long panels_of(const Matrix *m) {
    return m->N / m->group * ((m->group + W * V - 1) / (W * V));
}

/* The panels of a matrix from `lo` to `hi`. */
static void pack_part(const Matrix *m, long lo, long hi) {
    long a_group = (m->group + W * V - 1) / (W * V);
    long padded = (m->group + V - 1) / V * V;
    for (long q = lo; q < hi; q++) {
        long g = q / a_group, j = q % a_group * W * V, left = m->group - j;
        long wide = (left < W * V ? (left + V - 1) / V : W) * V;
        pack_panel(m->K, m->p + (g * m->group + j) * m->sj, m->sk, m->sj,
                   m->out + (g * padded + j) * m->K, wide, left);
    }
}

/* The matrix has element (k, j) at p[k * sk + j * sj]. Its columns are packed `group` at a time,
 * each group beginning at a panel of its own. */
void pack(long K, long N, long group, const T *p, long sk, long sj, T *out) {
    Matrix m = {K, N, group, p, sk, sj, out};
    pack_part(&m, 0, panels_of(&m));
}

static void pack_share(const Packing *a, long me, long team) {
    long all = 0, at = 0;
    for (long i = 0; i < a->count; i++) all += panels_of(a->matrices + i);
    long lo = all * me / team, hi = all * (me + 1) / team;
    for (long i = 0; i < a->count; i++) {
        long n = panels_of(a->matrices + i), from = lo - at, to = hi - at;
        pack_part(a->matrices + i, from > 0 ? from : 0, to < n ? to : n);
        at += n;
    }
}

static void pack_in_pool(void *p) {
    const Packing *a = p;
    long team = a->threads > 1 ? a->team() : 1;
    pack_share(a, team > 1 ? a->thread() : 0, team);
}

void pack_all(const Packing *a) {
    if (a->threads > 1) a->parallel(pack_in_pool, (void *)a, (unsigned)a->threads, 0);
    else pack_share(a, 0, 1);
}

/* A sum that changes when a number does, for weights written to behind a cache's back. */
unsigned long summed(long rows, long bytes, const char *p, long stride) {
    enum { LANES = 32 };
    unsigned long s[LANES] = {0};
    for (long r = 0; r < rows; r++, p += stride) {
        long j = 0;
        for (; j + LANES * 8 <= bytes; j += LANES * 8) {
            unsigned long words[LANES];
            memcpy(words, p + j, sizeof words);
            for (int i = 0; i < LANES; i++) s[i] = (s[i] ^ words[i]) * 0x9E3779B97F4A7C15ul + 1;
        }
        for (; j < bytes; j += 8) {
            unsigned long word = 0;
            memcpy(&word, p + j, bytes - j < 8 ? bytes - j : 8);
            s[j / 8 % LANES] = (s[j / 8 % LANES] ^ word) * 0x9E3779B97F4A7C15ul + 1;
        }
    }
    unsigned long all = 0;
    for (int i = 0; i < LANES; i++) all = (all ^ (s[i] >> 29) ^ s[i]) * 0xBF58476D1CE4E5B9ul;
    return all;
}

/* The element of A at (r, k) is A[r * lda + k * sk]; rows of the panel are `step` apart. */
INLINE void tile(const int rows, const int vectors, long K, const T *A, long lda, const long sk,
                 const T *panel, long step, const T *init, long ldi, T *C, long ldc,
                 long columns) {
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
        for (; k + 1 < K; k += 2, panel += 2 * step) {
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
        for (long k = 0; k < K; k++, panel += step) {
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
        long K, const T *A, long lda, const T *panel, long step, const T *init, long ldi, T *C, \
        long ldc, long columns) { \
        tile(r, w, K, A, lda, 1, panel, step, init, ldi, C, ldc, columns); \
    } \
    static __attribute__((noinline)) void down_##r##_##w( \
        long K, const T *A, long sk, const T *panel, long step, const T *init, long ldi, T *C, \
        long ldc, long columns) { \
        tile(r, w, K, A, 1, sk, panel, step, init, ldi, C, ldc, columns); \
    }
#if W == 4
#define ROW(r) TILE(r, 1) TILE(r, 2) TILE(r, 3) TILE(r, 4)
#define NAMES(f, r) {f##_##r##_1, f##_##r##_2, f##_##r##_3, f##_##r##_4}
#else
#define ROW(r) TILE(r, 1) TILE(r, 2)
#define NAMES(f, r) {f##_##r##_1, f##_##r##_2}
#endif
ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6)

typedef void (*Tile)(long, const T *, long, const T *, long, const T *, long, T *, long, long);
#define ALL(f) {NAMES(f, 1), NAMES(f, 2), NAMES(f, 3), NAMES(f, 4), NAMES(f, 5), NAMES(f, 6)}
static const Tile tiles[R][W] = ALL(tile), downs[R][W] = ALL(down);

/* C = init + A @ matrix for the columns from `lo` (a whole number of vectors) to `hi`. init has
 * rows ldi apart (0: the same for all), or is NULL for zeros; it may be C itself. */
void product(long rows, long K, long N, long lo, long hi, const T *A, long lda, const T *packed,
             const T *init, long ldi, T *C, long ldc) {
    long blocks = (rows + R - 1) / R;
    for (long j = lo; j < hi;) {
        long first = j / (W * V) * (W * V), past = first + W * V < hi ? first + W * V : hi;
        long left = N - first, step = (left >= W * V ? W : (left + V - 1) / V) * V;
        long vectors = (past - j + V - 1) / V;
        const T *panel = packed + first * K + (j - first);
        for (long b = 0, r = 0; b < blocks; b++) {
            long here = (rows - r + blocks - b - 1) / (blocks - b); /* blocks of like height */
            tiles[here - 1][vectors - 1](K, A + r * lda, lda, panel, step,
                                         init ? init + r * ldi + j : 0, ldi, C + r * ldc + j, ldc,
                                         past - j);
            r += here;
        }
        j = past;
    }
}

/* The two large products after a loop over time, each thread's share of them. */

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
    T *room;      /* of_rows: CHUNK * (W * V + STRIPS * R) numbers a thread */
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
    int (*thread)(void);
    int (*team)(void);
    long flush;
    Product product; /* by_rows */
} Large;

/* Rows of A and G, and strips of R columns of A, that stay in the second cache together. */
enum { CHUNK = 256, STRIPS = 64 };

/* Panels that read a strip from which it is put in order for them. */
enum { WORTH_PACKING = 2 };

/* C (rows, N) = init + A (rows, K) @ the packed matrix. */
static void by_rows_part(const Large *a, long me) {
    long lo = a->rows * me / a->threads, hi = a->rows * (me + 1) / a->threads;
    for (long r = lo; r < hi; r += CHUNK) {
        long here = hi - r < CHUNK ? hi - r : CHUNK;
        T *C = a->C + r * a->N;
        a->product(here, a->K, a->N, 0, a->N, a->A + r * a->lda, a->lda, a->G,
                a->init ? a->init + r * a->ldi : 0, a->ldi, C, a->N);
    }
}

/* A's columns from k to `end`, in strips of R side by side. */
static void pack_strips(const Large *a, long r, long depth, long k, long end, T *strip) {
    for (; k < end; k += R, strip += CHUNK * R) {
        const T *A = a->A + r * a->lda + k;
        long here = end - k < R ? end - k : R;
        if (here == R)
            for (long i = 0; i < depth; i++) memcpy(strip + i * R, A + i * a->lda, R * sizeof(T));
        else
            for (long i = 0; i < depth; i++)
                for (long c = 0; c < here; c++) strip[i * R + c] = A[i * a->lda + c];
    }
}

/* C (K, N) = init + A.T @ G for A (rows, K), G (rows, N). Threads share out the longer side of C:
 * whole strips of its rows, or vectors of its columns. */
static void of_rows_part(const Large *a, long me) {
    long strips = (a->K + R - 1) / R, vectors = (a->N + V - 1) / V, n = a->threads;
    long by_strips = a->K >= a->N;
    long top = by_strips ? strips * me / n * R : 0;
    long end = by_strips && me + 1 < n ? strips * (me + 1) / n * R : a->K;
    long from = by_strips ? 0 : vectors * me / n;
    long own = (by_strips ? vectors : vectors * (me + 1) / n) - from, panels = (own + W - 1) / W;
    T *panel = a->room + me * CHUNK * (W * V + STRIPS * R), *packed = panel + CHUNK * W * V;
    for (long r = 0; r < a->rows; r += CHUNK)
        for (long low = top; low < end; low += STRIPS * R) {
            long depth = a->rows - r < CHUNK ? a->rows - r : CHUNK;
            long high = end - low < STRIPS * R ? end : low + STRIPS * R;
            if (panels >= WORTH_PACKING) pack_strips(a, r, depth, low, high, packed);
            for (long q = 0; q < panels; q++) { /* of like width */
                long j = (from + own * q / panels) * V, left = a->N - j;
                long wide = own * (q + 1) / panels - own * q / panels;
                pack_panel(depth, a->G + r * a->ldg + j, a->ldg, 1, panel, wide * V, left);
                for (long k = low; k < high; k += R) {
                    long here = high - k < R ? high - k : R;
                    T *C = a->C + k * a->N + j;
                    const T *A = a->A + r * a->lda + k;
                    long down = a->lda;
                    if (panels >= WORTH_PACKING) A = packed + (k - low) * CHUNK, down = R;
                    downs[here - 1][wide - 1](depth, A, down, panel, wide * V,
                                              r || a->init ? C : 0, a->N, C, a->N,
                                              left < wide * V ? left : wide * V);
                }
            }
        }
}

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

void by_rows(const Large *a) { share_out(a, by_rows_part); }
void of_rows(const Large *a) { share_out(a, of_rows_part); }
