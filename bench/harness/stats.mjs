// What is said of a row of samples.

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Half the distance between the quartiles, as a part of the median: what to think of the last digits. */
export function spread(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const at = part => sorted[Math.round(part * (sorted.length - 1))]
  return (at(0.75) - at(0.25)) / 2 / median(numbers)
}

/** The median of the ratios within each round: what slowed a whole round cancels out. */
export function pairedRatio(numbers, floor) {
  return median(numbers.map((number, round) => number / floor[round]))
}

/** One number of each contender's samples: its median, its spread, and its ratio to the floor's. */
export function compare(samples, floor, key) {
  const pick = name => samples[name].map(sample => sample[key])
  return Object.fromEntries(
    Object.keys(samples).map(name => {
      const numbers = pick(name)
      return [name, { median: median(numbers), spread: spread(numbers), ratio: pairedRatio(numbers, pick(floor)) }]
    }),
  )
}
