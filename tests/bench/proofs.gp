# SPDX-License-Identifier: Apache-2.0
# Seconds of proofs by steps and by parameters, the phases one on the other. proofs.py sets steps,
# size, out, phases and model.
set terminal pngcairo size 1400,600 font "sans,11"
set output out
set multiplot layout 1,2
set logscale xy
set key top left reverse Left
set grid
set ylabel "seconds, two cores"
set style fill solid 0.6 noborder
n = words(phases)
set xlabel "steps of ".model
set xtics (1, 4, 16, 64, 128)
plot for [k=n:1:-1] steps using 1:(column(k + 2)) with filledcurves x1 title word(phases, k), \
     steps using 1:2 with linespoints lc "black" pt 7 title "all"
set xlabel "parameters"
set xtics auto
set format x "10^{%L}"
plot for [k=n:1:-1] size using 1:(column(k + 2)) with filledcurves x1 title word(phases, k), \
     size using 1:2 with linespoints lc "black" pt 7 title "all"
unset multiplot
