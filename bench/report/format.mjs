// Formats numbers with three digits, because more digits are not significant here.

export function number(value) {
  if (value >= 1000) return Math.round(Number(value.toPrecision(3))).toLocaleString('en')
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2)
}

export function percent(part) {
  return `${(part * 100).toFixed(0)} %`
}

export function times(ratio) {
  return `${number(ratio)} ×`
}

/** A ratio with its spread, for a goal. */
export function ratioOf({ ratio, ratioSpread }) {
  return `${times(ratio)} ± ${percent(ratioSpread)}`
}

export function bytes(value) {
  if (value >= 1e6) return `${number(value / 1e6)} MB`
  return value >= 1e3 ? `${number(value / 1e3)} kB` : `${number(value)} B`
}
