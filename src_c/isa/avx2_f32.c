/* x86-64 with AVX2 and FMA. */
#define FGD_TABLE fgd_avx2_f32
#define FGD_F64 0
#define FGD_VBYTES 32
#define FGD_TILE_ROWS 6
#define FGD_TILE_VECTORS 2
#include "../kernels/table.inc.c"
