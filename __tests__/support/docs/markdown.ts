import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** A fenced block of a page, with the options from the comments directly above it. */
export interface CodeBlock {
  /** Relative to the repository. */
  readonly file: string
  /** The line of the opening fence, counted from 1. */
  readonly line: number
  readonly language: string
  readonly code: string
  /** Why the block is compiled but not run: `<!-- compile only: why -->`. */
  readonly compileOnly?: string
  /** How its server must respond: `<!-- answers: GET /token 200 -->`. */
  readonly answers: readonly ExpectedResponse[]
}

export interface ExpectedResponse {
  readonly method: string
  readonly path: string
  readonly status: number
}

export interface Link {
  readonly line: number
  readonly target: string
}

interface Line {
  readonly number: number
  readonly text: string
}

const FENCE = /^(\s*)(`{3,})\s*([\w-]*)/

export function readBlocks(file: string): CodeBlock[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  const blocks: CodeBlock[] = []
  for (let start = 0; start < lines.length; start++) {
    const [, indent = '', fence, language = ''] = FENCE.exec(lines[start] ?? '') ?? []
    if (fence === undefined) continue
    let end = start + 1
    while (end < lines.length && lines[end]?.trim() !== fence) end++
    const code = lines.slice(start + 1, end).map(line => (line.startsWith(indent) ? line.slice(indent.length) : line))
    blocks.push({
      file,
      line: start + 1,
      language: language.toLowerCase(),
      code: `${code.join('\n')}\n`,
      ...readBlockOptions(lines.slice(0, start)),
    })
    start = end
  }
  return blocks
}

/** Reads the options from the comments directly above a block. */
function readBlockOptions(above: readonly string[]): Pick<CodeBlock, 'compileOnly' | 'answers'> {
  const comments: string[] = []
  for (let i = above.length - 1; i >= 0; i--) {
    const text = above[i]?.trim() ?? ''
    const [, comment] = /^<!--\s*(.*?)\s*-->$/.exec(text) ?? []
    if (text !== '' && comment === undefined) break
    if (comment !== undefined) comments.unshift(comment)
  }
  const compileOnly = comments.map(comment => /^compile only: (.{10,})$/.exec(comment)?.[1]).find(Boolean)
  const answers = comments.flatMap(comment => {
    const [, method, path, status] = /^answers: ([A-Z]+) (\/\S*) (\d{3})$/.exec(comment) ?? []
    return method && path ? [{ method, path, status: Number(status) }] : []
  })
  return compileOnly === undefined ? { answers } : { answers, compileOnly }
}

/** Returns the lines outside fenced blocks. */
function proseOf(file: string): Line[] {
  const prose: Line[] = []
  let fence: string | undefined
  for (const [index, text] of readFileSync(file, 'utf8').split('\n').entries()) {
    const opening = FENCE.exec(text)?.[2]
    if (fence === undefined && opening === undefined) prose.push({ number: index + 1, text })
    if (fence === undefined) fence = opening
    else if (text.trim() === fence) fence = undefined
  }
  return prose
}

/** Pages in the package: npm and node_modules do not have the files beside them. */
export const SHIPPED = ['README.md', 'CHANGELOG.md', 'SECURITY.md']

/** How pages in the package link to files of this repository. */
export const REPOSITORY = 'https://github.com/Video-io/videokit-nodejs/blob/main/'

/** The target of `[text][name]` and `[name]` if the page does not define the name. */
export const UNDEFINED = '(not defined)'

export function readLinks(file: string): Link[] {
  const prose = proseOf(file)
  const defined = new Set(prose.flatMap(({ text }) => /^\[([^\]]+)\]: /.exec(text)?.[1]?.toLowerCase() ?? []))
  return prose.flatMap(({ number, text }) => {
    const plain = text.replace(/(`+).+?\1/g, code => (/\]\(|\]\[/.test(code) ? '' : code))
    const names = [...plain.replace(/(`+).+?\1/g, '').matchAll(/(?:(?<=\])|(?<![\w\]\\]))\[([^[\]]{2,})\](?![[(:])/g)]
    const unknown = names.filter(([, name = '']) => !defined.has(name.toLowerCase()))
    const inline = [...plain.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)]
    const definitions = [...plain.matchAll(/^\s*\[[^\]]+\]:\s*<?(\S+?)>?$/g)]
    const html = [...plain.matchAll(/\b(?:href|src)="([^"]+)"/g)]
    const targets = [...inline, ...definitions, ...html].map(([, target = '']) => target)
    return [...targets, ...unknown.map(() => UNDEFINED)].map(target => ({ line: number, target }))
  })
}

/** Whether a link of a page leads to a file, and to a heading of it, in the repository. Links to other sites are not checked. */
export function targetExists(page: string, target: string): boolean {
  if (target.startsWith(REPOSITORY)) return targetExists('README.md', target.slice(REPOSITORY.length))
  if (/^[a-z][a-z+.-]*:/i.test(target)) return true
  const [file = '', anchor] = decodeURIComponent(target).split('#')
  const place = file === '' ? page : path.join(path.dirname(page), file)
  if (place.startsWith('..') || /^(?:dist|node_modules|coverage)\b/.test(place) || !existsSync(place)) return false
  return anchor === undefined || readAnchors(place).has(anchor)
}

/** Returns the anchors of a page on GitHub: one per heading, and those that the page defines. */
export function readAnchors(file: string): Set<string> {
  const anchors = new Set<string>()
  for (const { text } of proseOf(file)) {
    for (const [, id = ''] of text.matchAll(/<a\s+(?:id|name)="([^"]+)"/g)) anchors.add(id)
    const [, heading] = /^\s{0,3}#{1,6}\s+(.*?)\s*#*$/.exec(text) ?? []
    if (heading === undefined) continue
    const slug = slugOf(heading)
    let unique = slug
    for (let i = 1; anchors.has(unique); i++) unique = `${slug}-${i}`
    anchors.add(unique)
  }
  return anchors
}

function slugOf(heading: string): string {
  return heading
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/<[^>]+>/g, '')
    .replace(/\\(.)/g, '$1')
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
    .replaceAll(' ', '-')
}
