const WIDTH = 640
const HEIGHT = 360
const LEFT = 56
const TOP = 16
const INNER_WIDTH = WIDTH - LEFT - 24
const INNER_HEIGHT = HEIGHT - TOP - 48

export interface Curve {
  readonly name: string
  readonly color: string
  /** For each share of failing responses, the share of calls that are served. */
  readonly served: readonly number[]
}

const x = (share: number): number => Math.round(LEFT + share * INNER_WIDTH)
const y = (share: number): number => Math.round(TOP + (1 - share) * INNER_HEIGHT)

/** An SVG of shares from 0 to 1 against shares from 0 to 1. */
export function plot(shares: readonly number[], curves: readonly Curve[]): string {
  const ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
  const percent = (share: number): string => `${Math.round(share * 100)} %`
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    '<title>Calls served against responses that are 503</title>',
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    ...ticks.flatMap(tick => [
      `<path d="M${LEFT} ${y(tick)}H${LEFT + INNER_WIDTH}" stroke="#dddddd"/>`,
      `<text x="${LEFT - 8}" y="${y(tick) + 4}" text-anchor="end">${percent(tick)}</text>`,
      `<text x="${x(tick)}" y="${TOP + INNER_HEIGHT + 18}" text-anchor="middle">${percent(tick)}</text>`,
    ]),
    `<text x="${LEFT + INNER_WIDTH / 2}" y="${HEIGHT - 8}" text-anchor="middle">responses that are 503</text>`,
    ...curves.flatMap(({ name, color, served }, i) => [
      `<polyline points="${served.map((share, j) => `${x(shares[j] ?? 0)},${y(share)}`).join(' ')}" fill="none" stroke="${color}" stroke-width="2"/>`,
      `<text x="${LEFT + 16}" y="${TOP + INNER_HEIGHT - 48 + 18 * i}" fill="${color}">${name}</text>`,
    ]),
    '</svg>',
  ]
  return `${lines.join('\n')}\n`
}
