#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh SRC OUT CC PREFIX [--overlay]: musl from the pristine tree SRC, built in OUT by CC and
# installed into PREFIX/{include,lib}; --overlay puts our files over it first (README.md).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
src=$1 out=$2 cc=$3 prefix=$4 overlay=${5-}

rm -rf "$out" "$prefix"
mkdir -p "$out" "$prefix"
cp -r "$src/." "$out"
# The generic version of what the overlay removes goes into both builds: same libc, same speed.
(cd "$out" && xargs rm -f <"$here/removed")
[ -z "$overlay" ] || cp -r "$here/src" "$out"
cd "$out"
CC=$cc ./configure --target=x86_64-linux-musl --build=x86_64-linux-musl --disable-shared --disable-wrapper \
  --prefix="$prefix" --syslibdir="$prefix/lib" LIBCC=-lgcc >configure.log
make -s -j2 AR=ar RANLIB=ranlib >make.log
make -s install AR=ar RANLIB=ranlib >>make.log
# The Linux interface headers of the build machine, which programs include beside libc's.
ln -s /usr/include/linux /usr/include/asm-generic /usr/include/mtd "$prefix/include"
ln -s "/usr/include/$(gcc -print-multiarch)/asm" "$prefix/include"
