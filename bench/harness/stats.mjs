// Statistics of a list of samples.

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Half the distance between the quartiles, as a fraction of the median. It shows how precise the median is. */
export function spread(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const at = fraction => sorted[Math.round(fraction * (sorted.length - 1))]
  return (at(0.75) - at(0.25)) / 2 / median(numbers)
}

/** The median and the spread of the ratios within each round, so that a slow round has no effect. */
export function pairedRatio(numbers, floor) {
  const ratios = numbers.map((number, round) => number / floor[round])
  return { ratio: median(ratios), ratioSpread: spread(ratios) }
}

/** For one value of each candidate's samples: the median, the spread, and the ratio to the floor with its own spread. */
export function compare(samples, floor, key) {
  const pick = name => samples[name].map(sample => sample[key])
  return Object.fromEntries(
    Object.keys(samples).map(name => {
      const numbers = pick(name)
      return [name, { median: median(numbers), spread: spread(numbers), ...pairedRatio(numbers, pick(floor)) }]
    }),
  )
}
