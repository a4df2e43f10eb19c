#!/bin/sh
# check.sh: every run of runs.txt, or with `quick` the shorter selection, against what must come
# out. Ends with 1 if one differs. All take about 1.5 minutes.
cd "$(dirname "$0")" || exit 2
grep -v '^#' runs.txt | {
  wrong=0 count=0
  while read -r when shows states pan options; do
    [ "${1:-all}" = all ] || [ "$when" = "$1" ] || continue
    [ "$pan" = - ] && pan=""
    got=$(sh run.sh "$options" "$(printf '%s' "$pan" | tr , ' ')" </dev/null)
    count=$((count + 1))
    case "$shows $got" in
      "ok ok $states" | "$shows fails $shows "*) mark="ok    " ;;
      *) mark="FAILED" wrong=1 ;;
    esac
    printf '%s %-50s %s\n' "$mark" "$options" "$got"
  done
  [ $count -gt 0 ] || { echo "there is no run of the kind: $1"; exit 2; }
  exit $wrong
}
