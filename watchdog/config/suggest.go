package config

// Suggest gives the known word that is nearest to an unknown one, or "" when
// none is near enough to be meant: at most two edits, and fewer than half of
// the word.
func Suggest(word string, known []string) string {
	best, bestEdits := "", 3
	for _, k := range known {
		if d := edits(word, k); d < bestEdits && 2*d <= max(len(word), len(k)) {
			best, bestEdits = k, d
		}
	}
	return best
}

// edits is the Damerau-Levenshtein distance in its restricted form: a swap of
// neighbours counts as one.
func edits(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 64 || len(y) > 64 {
		return 64
	}
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(x)][len(y)]
}
