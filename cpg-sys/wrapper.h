#include <corosync/cpg.h>
