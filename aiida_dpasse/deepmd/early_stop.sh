# End `dp train` when its held-out error no longer improves; runs beside it until the job ends.
# Variables: interval (s), error (column), window (steps), improvement (fraction), curve, prefix, latest, report.
( while sleep "$interval" && kill -0 $$ 2>/dev/null; do
    # Prints the last step if the lowest error in the last window is hardly below that before it.
    step=$(awk -v name="$error" -v window="$window" -v improvement="$improvement" '
      /^#/ { for (i = 2; i <= NF; i++) if ($i == name) field = i - 1; next }
      field && NF >= field && $field ~ /^[0-9]/ { n++; step[n] = $1; value[n] = $field }
      END {
        for (i = 1; i <= n; i++) {
          if (step[i] > step[n] - window) { if (!late || value[i] < late) late = value[i] }
          else if (!early || value[i] < early) early = value[i]
        }
        if (early && late > (1 - improvement) * early) print step[n]
      }' "$curve" 2>/dev/null)
    [ -n "$step" ] && pkill -STOP -P $$ -f ' train ' || continue
    named=$(sed -n "1s/.*$prefix-\([0-9]*\).*/$prefix-\1/p" "$latest" 2>/dev/null)
    if [ "$named.pt" -ef "$prefix.pt" ] || [ "$named.meta" -ef "$prefix.meta" ]; then
      echo "flat at step $step" > "$report"; pkill -TERM -P $$ -f ' train '
    fi
    pkill -CONT -P $$ -f ' train '
    [ ! -e "$report" ] || break
  done ) &
