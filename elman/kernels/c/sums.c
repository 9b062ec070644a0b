/* Products that sum over all rows, of which gradients of matrices are made. tiles.h comes before
 * this file, which is one of its own so that both are compiled at the same time.
 */

#define DOWN(r, w) TILE(down, r, w, 1, down, 0)
SHAPES(DOWN)
static const Tile downs[R][W] = TABLE(down);

/* Numbers from one strip to the next: a power of two of them would put all strips into the same
 * few lines of the first cache. */
enum { GAP = CHUNK * R + LINE };

/* Numbers of scratch memory a thread: a panel, and strips. */
enum { ROOM = CHUNK * W * V + STRIPS * GAP };
long of_rows_room(void) { return ROOM; }

/* A's columns from k to `end`, in strips of R side by side: A is read along its rows. */
static void pack_strips(const Large *a, long r, long depth, long k, long end, T *strips) {
    long whole = (end - k) / R, rest = (end - k) % R;
    for (long i = 0; i < depth; i++) {
        const T *A = a->A + (r + i) * a->lda + k;
        T *to = strips + i * R;
        for (long s = 0; s < whole; s++, A += R, to += GAP) memcpy(to, A, R * sizeof(T));
        for (long c = 0; c < rest; c++) to[c] = A[c];
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
    T *panel = a->room + me * ROOM, *packed = panel + CHUNK * W * V;
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
                    if (panels >= WORTH_PACKING) A = packed + (k - low) / R * GAP, down = R;
                    downs[here - 1][wide - 1](depth, A, down, panel, wide * V,
                                              r || a->init ? C : 0, a->N, C, a->N,
                                              left < wide * V ? left : wide * V, A);
                }
            }
        }
}

void of_rows(const Large *a) { share_out(a, of_rows_part); }
