// Draws the numbers of hit and mint as bars, in one image for light and dark pages.
import { FLOOR as HIT_FLOOR, OURS } from '../competitors/cachers.mjs'
import { FLOOR as MINT_FLOOR, PREDECESSOR } from '../competitors/minters.mjs'
import { number, times } from './format.mjs'

const WIDTH = 860
const LABELS = 300
const BAR = 16
const GAP = 6
const TOP = 58
const COLOURS = { ours: '#d9480f', floor: '#868e96', other: '#74a9d8' }

export function drawPlot(results) {
  const panels = [hitPanel(results.hit?.data), mintPanel(results.mint?.data)].filter(Boolean)
  let y = 0
  const parts = panels.map(panel => {
    const part = drawPanel(panel, y)
    y += heightOf(panel)
    return part
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img" font-family="system-ui, sans-serif" font-size="12">
<title>The cost of a cached and of a minted token</title>
<style>text { fill: #24292f } .faint { fill: #6e7781 } @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .faint { fill: #8d96a0 } }</style>
${parts.join('\n')}
</svg>
`
}

function hitPanel(data) {
  if (!data) return undefined
  const bars = Object.entries(data.known).map(([name, { median, ratio }]) => ({ name, value: median, ratio }))
  return {
    title: 'A cached token: CPU ns per call',
    subtitle: 'logarithmic; × the floor',
    bars,
    logarithmic: true,
    floor: HIT_FLOOR,
  }
}

function mintPanel(data) {
  const cell = data?.cells.find(each => each.protocol === 'http' && each.delayMs === 0 && each.concurrency === 256)
  if (!cell) return undefined
  const bars = Object.entries(cell.cpuUs).map(([name, { median, ratio }]) => ({ name, value: median, ratio }))
  const title = 'A minted token: CPU µs of the client, 256 concurrent calls, http'
  return { title, subtitle: `× ${PREDECESSOR}`, bars, logarithmic: false, floor: MINT_FLOOR }
}

const heightOf = ({ bars }) => TOP + bars.length * (BAR + GAP) + 20

function drawPanel({ title, subtitle, bars, logarithmic, floor }, top) {
  const sorted = bars.toSorted((a, b) => a.value - b.value)
  const lengthOf = makeScale(sorted, logarithmic)
  const rows = sorted.map(({ name, value, ratio }, i) => {
    const y = top + TOP + i * (BAR + GAP)
    const isOurs = name === OURS || name.startsWith(`${OURS},`)
    const colour = isOurs ? COLOURS.ours : name === floor ? COLOURS.floor : COLOURS.other
    const length = lengthOf(value)
    const weight = isOurs ? ' font-weight="600"' : ''
    return `<text x="${LABELS - 8}" y="${y + 12}" text-anchor="end"${weight}>${escape(name)}</text>
<rect x="${LABELS}" y="${y}" width="${length.toFixed(1)}" height="${BAR}" rx="2" fill="${colour}"/>
<text x="${(LABELS + length + 6).toFixed(1)}" y="${y + 12}"${weight}>${number(value)} <tspan class="faint">${times(ratio)}</tspan></text>`
  })
  return `<text x="16" y="${top + 26}" font-size="15" font-weight="600">${escape(title)}</text>
<text x="16" y="${top + 44}" class="faint">${escape(subtitle)}</text>
${rows.join('\n')}`
}

/** A logarithmic bar starts at half the smallest value, otherwise the smallest bar would have no length. */
function makeScale(sorted, logarithmic) {
  const longest = WIDTH - LABELS - 110
  const most = sorted.at(-1).value
  const least = sorted[0].value / 2
  return logarithmic
    ? value => (longest * Math.log(value / least)) / Math.log(most / least)
    : value => (longest * value) / most
}

const escape = text => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
