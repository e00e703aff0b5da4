/* x86-64 with AVX-512 F, VL, DQ and BW. */
#define FGD_TABLE fgd_avx512_f32
#define FGD_F64 0
#define FGD_VBYTES 64
#define FGD_TILE_ROWS 8
#define FGD_TILE_VECTORS 2
#include "../kernels/table.inc.c"
