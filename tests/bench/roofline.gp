# SPDX-License-Identifier: Apache-2.0
# What the machine allows one thread, and where the models stand. Called by report.py, which sets
# folder, out, backend and, in 1e9 a second, read, matvec, matmul.
set terminal pngcairo size 1000,640 font "sans,11"
set output out
set title sprintf("One thread, %s: reading %.1f GB/s, matvec %.0f and matmul %.0f GMAC/s", \
    backend, read, matvec, matmul)
set xlabel "multiply-adds per byte of weights read"
set ylabel "1e9 multiply-adds a second"
set logscale xy
set xrange [0.5:1000]
set yrange [10:*]
set grid
set key bottom right
roof(x, top) = read * x < top ? read * x : top
plot roof(x, matmul) title "limit of reading and matmul" with lines linewidth 2 linecolor "black", \
    roof(x, matvec) title "... and matvec" with lines dashtype 2 linewidth 2 linecolor "black", \
    folder . "/decode" using 1:2:3 title "" with labels left font ",9" offset 0.8,0, \
    folder . "/decode" using 1:2 title "decode" with points pointtype 7 pointsize 1.3 linecolor 1, \
    folder . "/batch" using 1:2 title "several texts" with points pointtype 9 pointsize 1.3 linecolor 3, \
    folder . "/prefill" using 1:2:3 title "" with labels left font ",9" offset 0.8,0, \
    folder . "/prefill" using 1:2 title "prefill" with points pointtype 5 pointsize 1.3 linecolor 2
