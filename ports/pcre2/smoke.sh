# SPDX-License-Identifier: MIT
# Upstream's own main tests, without and with Unicode: every answer as it should be.
cp "$O/ports/pcre2-$VARIANT/devel/testdata"/* .
for n in 1 4; do
  run pcre2test -q -8 "$T/testinput$n" "$T/got" || fail "pcre2test: status $?"
  diff -u "testoutput$n" got | head -n 30 >difference
  [ ! -s difference ] || fail "$(cat difference)"
done
