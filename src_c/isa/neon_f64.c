/* aarch64. */
#define FGD_TABLE fgd_neon_f64
#define FGD_F64 1
#define FGD_VBYTES 16
#define FGD_TILE_ROWS 8
#define FGD_TILE_VECTORS 2
#include "../kernels/table.inc.c"
