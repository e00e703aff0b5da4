/* Any machine: 16-byte vectors, a multiply and an add where others fuse them. */
#define FGD_TABLE fgd_baseline_f32
#define FGD_F64 0
#define FGD_VBYTES 16
#define FGD_TILE_ROWS 4
#define FGD_TILE_VECTORS 2
#include "../kernels/table.inc.c"
