/**
 * Returns the known name that `given` most likely means: at most a third of its letters differ. Case, `_` and `-` do
 * not count.
 */
export function nearestName(given: string, known: Iterable<string>): string | undefined {
  const letters = normalize(given)
  let nearest: string | undefined
  let least = Infinity
  for (const name of known) {
    const other = normalize(name)
    const limit = Math.max(letters.length, other.length) / 3
    // The length excludes most names, so a long text is cheap.
    if (Math.abs(letters.length - other.length) > limit) continue
    const distance = editDistance(letters, other)
    if (distance > limit || distance >= least) continue
    nearest = name
    least = distance
  }
  return nearest
}

function normalize(name: string): string {
  return name.toLowerCase().replace(/[_-]/g, '')
}

/** The Damerau–Levenshtein distance: letters to insert, delete, replace or swap with a neighbor. */
function editDistance(a: string, b: string): number {
  let [beforeLast, last]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      row[j] = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
        isSwapped ? (beforeLast[j - 2] ?? 0) + 1 : Infinity,
      )
    }
    beforeLast = last
    last = row
  }
  return last[b.length] ?? 0
}
