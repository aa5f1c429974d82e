#include "trace/trace-hw_misc_gm.h"
