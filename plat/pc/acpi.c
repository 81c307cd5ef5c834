/* SPDX-License-Identifier: MIT */
/* ACPI's static tables, as far as they name interrupt controllers and the way to switch off. */
#include "kernel/errno.h"
#include "lib/string.h"
#include "plat/pc/cpu.h"
#include "plat/pc/irq.h"
#include "plat/pc/pc.h"

#define TABLES_MAX 32
#define SLP_EN_PM1 0x2000u
#define SLP_EN_REDUCED 0x20u
#define FADT_HW_REDUCED (1u << 20)

struct rsdp {
  char signature[8];
  u8 checksum;
  char oem[6];
  u8 revision;
  u32 rsdt, length;
  u64 xsdt;
} __attribute__((packed));

struct sdt {
  char signature[4];
  u32 length;
  u8 revision, checksum;
  char oem[6], oem_table[8];
  u32 oem_revision, creator, creator_revision;
} __attribute__((packed));

static volatile u8 *sleep_register; /* mapped ahead: who switches off may take no lock */
static const struct sdt *tables[TABLES_MAX];
static unsigned n_tables;

static bool sums_to_zero(const void *p, size_t n) {
  const u8 *b = p;
  u8 sum = 0;
  for (size_t i = 0; i < n; i++)
    sum = (u8)(sum + b[i]);
  return sum == 0;
}

/* A table at p, if it is one and lies where the direct map of boot.S reaches. */
static const struct sdt *table_at(paddr p) {
  if (p == 0 || p >= GIB(4) - PAGE_SIZE)
    return NULL;
  const struct sdt *t = phys_ptr(p);
  if (t->length < sizeof *t || t->length > MIB(1) || !sums_to_zero(t, t->length))
    return NULL;
  return t;
}

static const struct rsdp *rsdp_at(paddr p) {
  const struct rsdp *r = phys_ptr(p);
  return memcmp(r->signature, "RSD PTR ", 8) == 0 && sums_to_zero(r, 20) ? r : NULL;
}

/* Where the BIOS leaves it if the loader does not say. */
static const struct rsdp *rsdp_search(void) {
  for (paddr p = 0xe0000; p < 0x100000; p += 16) {
    const struct rsdp *r = rsdp_at(p);
    if (r)
      return r;
  }
  return NULL;
}

static void find_tables(paddr at) {
  const struct rsdp *r = at ? rsdp_at(at) : NULL;
  if (!r)
    r = rsdp_search();
  if (!r)
    return;
  bool wide = r->revision >= 2 && r->xsdt;
  const struct sdt *root = table_at(wide ? r->xsdt : r->rsdt);
  if (!root)
    return;
  size_t size = wide ? 8 : 4;
  for (const char *e = (const char *)(root + 1);
       e + size <= (const char *)root + root->length && n_tables < TABLES_MAX; e += size) {
    u64 p = 0;
    memcpy(&p, e, size);
    const struct sdt *t = table_at(p);
    if (t)
      tables[n_tables++] = t;
  }
}

const void *acpi_table(const char *signature, unsigned n) {
  for (unsigned i = 0; i < n_tables; i++)
    if (memcmp(tables[i]->signature, signature, 4) == 0 && n-- == 0)
      return tables[i];
  return NULL;
}

/* ---- power off ------------------------------------------------------------------------------- */

static u32 fadt_u32(const u8 *fadt, u32 at) {
  u32 v = 0;
  u32 length;
  memcpy(&length, fadt + 4, 4);
  if (at + 4 <= length)
    memcpy(&v, fadt + at, 4);
  return v;
}

/* The value for soft-off, from the package that the DSDT names _S5_: its first element, a byte. */
static u8 soft_off_type(const u8 *fadt) {
  const struct sdt *dsdt = table_at(fadt_u32(fadt, 40));
  if (!dsdt)
    return 5;
  const u8 *b = (const u8 *)dsdt;
  for (u32 i = sizeof *dsdt; i + 8 < dsdt->length; i++) {
    if (memcmp(b + i, "_S5_", 4) != 0 || b[i + 4] != 0x12)
      continue;
    const u8 *e = b + i + 7; /* name, package op, one length byte, element count */
    return *e == 0x0a ? e[1] : *e <= 1 ? *e : 0;
  }
  return 5;
}

static u64 sleep_address(const u8 *fadt) {
  return fadt_u32(fadt, 248) | (u64)fadt_u32(fadt, 252) << 32;
}

static bool is_reduced(const u8 *fadt) { return fadt_u32(fadt, 112) & FADT_HW_REDUCED; }

void acpi_power_off(void) {
  const u8 *fadt = acpi_table("FACP", 0);
  if (!fadt)
    return;
  u8 type = soft_off_type(fadt);
  if (is_reduced(fadt)) {
    u8 space = (u8)fadt_u32(fadt, 244);
    u8 value = (u8)(SLP_EN_REDUCED | type << 2);
    if (sleep_register)
      *sleep_register = value;
    else if (space == 1)
      outb((u16)sleep_address(fadt), value);
  } else if (fadt_u32(fadt, 64)) {
    outw((u16)fadt_u32(fadt, 64), (u16)(SLP_EN_PM1 | type << 10));
  }
}

void acpi_init(paddr rsdp) {
  find_tables(rsdp);
  const u8 *fadt = acpi_table("FACP", 0);
  if (fadt && is_reduced(fadt) && (u8)fadt_u32(fadt, 244) == 0 && sleep_address(fadt))
    sleep_register = device_map(sleep_address(fadt), 1);
}
