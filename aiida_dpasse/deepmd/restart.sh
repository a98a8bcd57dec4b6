# Select the newest complete checkpoint, link it under the names of a restart, and remove those after it.
# Variables: backend, prefix, chosen, limit (may be empty), newest (empty, or yes: consider the newest only, remove none),
# report, log, latest, none.

# A zip ends with a record that begins with PK 5 6.
complete_pytorch() {
  [ "$(tail -c 22 "$1.pt" | head -c 4 | od -An -tx1 | tr -d ' \n')" = 504b0506 ]
}
# TensorFlow's index ends with a magic number, its graph is written last.
complete_tensorflow() {
  [ -s "$1.meta" ] && ls "$1".data-* >/dev/null 2>&1 &&
    [ "$(tail -c 8 "$1.index" | od -An -tx1 | tr -d ' \n')" = 57fb808b247547db ]
}

case $backend in pytorch) suffix=pt ;; *) suffix=index ;; esac
found=
for step in $(ls | sed -n "s/^$prefix-\([0-9][0-9]*\)\.$suffix\$/\1/p" | sort -rn); do
  stem=$prefix-$step
  if [ -n "$limit" ] && [ "$step" -gt "$limit" ]; then echo "step $step is later than requested" >> "$report"
  elif "complete_$backend" "$stem"; then found=$step; break
  else echo "step $step is cut short" >> "$report"
  fi
  if [ -n "$newest" ]; then break; fi
  rm -f "$stem".*
done
if [ -z "$found" ]; then echo "$none." > "$log"; exit 1; fi
echo "restart from step $found" >> "$report"
for file in "$prefix-$found".*; do
  ln -sf "$file" "$chosen${file#"$prefix-$found"}"
  ln -sf "$file" "$prefix${file#"$prefix-$found"}"
done
case $backend in
  pytorch) printf '%s.pt' "$prefix-$found" > "$latest" ;;
  *) printf 'model_checkpoint_path: "%s"\n' "$prefix-$found" > "$latest" ;;
esac
