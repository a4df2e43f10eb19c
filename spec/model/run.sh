#!/bin/sh
# run.sh: one configuration of twophase.pml: `run.sh "-DN=2 -DM_NO_FENCE" [arguments of pan]`.
# Prints: ok STATES | fails INVARIANT STATES | broken and why. "fails end" is a run that stops
# where it may not; "fails cycle" one that goes round.
set -u
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d "${TMPDIR:-/tmp}/rille-spin-XXXXXX") || exit 2
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
cp "$here/twophase.pml" model.pml

broken() { echo "broken: $1: $(tail -n 3 "$2" | tr '\n' ' ')"; exit 2; }

spin -a $1 model.pml >spin.txt 2>&1 || broken spin spin.txt
case $1 in *-DCYC*) search=-DNP ;; *) search=-DSAFETY ;; esac
# Small models take longer to compile than to search: tcc, where it is, compiles them at once.
# Every state is kept: nothing is hashed away.
case $1 in
  *-DN=3*) compiler="${CC:-cc} -O1" table=-w23 ;;
  *) compiler=$(command -v tcc || echo "${CC:-cc} -O0") table=-w20 ;;
esac
$compiler -w $search -o pan pan.c >cc.txt 2>&1 || broken cc cc.txt
bound=$(command -v timeout >/dev/null && echo "timeout 300")
$bound ./pan -m2000000 $table ${2:-} >pan.txt 2>&1 || broken pan pan.txt

# A search that was cut short has shown nothing.
grep -q -e 'max search depth too small' -e 'out of memory' pan.txt && broken search pan.txt
states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' pan.txt | head -n 1)
case $(sed -n 's/.*errors: \([0-9]*\)$/\1/p' pan.txt) in
  0) echo "ok $states" ;;
  "") broken result pan.txt ;;
  *)
    number=$(sed -n 's/.*assertion violated.*(\([0-9]*\)==0).*/\1/p' pan.txt | head -n 1)
    if [ -n "$number" ]; then echo "fails I$number $states"
    elif grep -q 'invalid end state (' pan.txt; then echo "fails end $states"
    elif grep -q '^pan:.*non-progress cycle' pan.txt; then echo "fails cycle $states"
    else broken failure pan.txt
    fi ;;
esac
