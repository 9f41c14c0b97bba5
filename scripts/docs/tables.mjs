// The tables of the README and the guides, from the declarations, the docstrings and the code itself.
import ts from 'typescript'
import { declaration, docstring, load, parse } from './source.mjs'

/** A row for each code: when, whether to try again, what to do. The docstring's first paragraph says when. */
export async function errorTable() {
  const errors = await load('lib/core/errors.ts')
  const classes = parse('lib/core/errors.ts').statements.filter(
    each => ts.isClassDeclaration(each) && each.name.text !== 'VKitError',
  )
  const rows = classes.flatMap(each => {
    const name = each.name.text
    const [when, what] = docstring(each).map(byCode)
    return [...when.keys()].map(code => [
      `\`${name}\``,
      `\`${code}\``,
      new errors[name]('', { code }).retryable ? 'yes' : 'no',
      sentence(when.get(code)),
      sentence(what?.get(code) ?? what?.get('')),
    ])
  })
  const told = new Set(rows.map(([, code]) => code))
  const codes = declaration('lib/core/vkit-error.ts', 'VKitErrorCode').type.types.map(
    type => `\`${type.literal.text}\``,
  )
  const untold = codes.filter(code => !told.has(code))
  if (untold.length > 0) throw new Error(`The docstrings of lib/core/errors.ts do not tell of ${untold.join(', ')}`)
  return table(['class', 'code', 'retryable', 'when', 'what to do'], rows)
}

/** Splits "`CODE`: text. `CODE`: text." at the codes; text without one is kept under ''. */
function byCode(paragraph) {
  const parts = paragraph.split(/`(VKIT_\w+)`: /)
  const told = new Map()
  if (parts[0]) told.set('', parts[0].trim())
  for (let i = 1; i < parts.length; i += 2) told.set(parts[i], parts[i + 1].trim())
  return told
}

/** A row for each option; the defaults that are numbers are those that the code itself fills in. */
export async function optionTable(name, prefix = '') {
  const { resolveBatch } = await load('lib/options/call-options.ts')
  const { resolveClientOptions } = await load('lib/options/client-options.ts')
  const resolved = name === 'GetSessionTokensOptions' ? resolveBatch([]) : resolveClientOptions()
  const rows = declaration('lib/options/types.ts', name).members.map(member => {
    const option = member.name.text
    const [, text, told = ''] = /^(.*?)\s*(?:Default:? (.*?)\.?)?$/.exec(docstring(member).join(' '))
    const value = resolved[option]
    // What a call does not say is the client's.
    const inCode =
      typeof value === 'number' && name !== 'GetSessionTokenOptions' ? value.toLocaleString('en-US') : undefined
    if (inCode !== undefined && inCode !== told) {
      throw new Error(`The docstring of ${prefix}${option} says Default ${told}, the code says ${inCode}`)
    }
    return [`\`${prefix}${option}\``, typeOf(member), told || '–', sentence(text) || '–']
  })
  return table(['option', 'type', 'default', 'meaning'], rows)
}

export function eventTable() {
  const { types } = declaration('lib/core/events.ts', 'VKitEvent').type
  const rows = types.map((type, i) => {
    const [kind, ...fields] = type.members
    const list = fields.map(field => `\`${field.name.text}\``).join(', ')
    return [
      `\`${kind.type.literal.text}\``,
      list || '–',
      sentence(docstring(type, types[i - 1]?.end ?? type.parent.pos).join(' ')),
    ]
  })
  return table(['event', 'beside `type`', 'when'], rows)
}

/** A row for each member of an interface. */
export function memberTable(file, name) {
  const rows = declaration(file, name).members.map(member => [
    `\`${member.name.text}\``,
    typeOf(member),
    sentence(docstring(member).join(' ')),
  ])
  return table(['name', 'type', 'meaning'], rows)
}

function typeOf({ type }) {
  const text = type
    .getText()
    .replace(/\breadonly /g, '')
    .replace(/ \| undefined\b/g, '')
    .replace(/\s+/g, ' ')
  return `\`${text}\``
}

function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : ''
}

export function table(head, rows) {
  const line = cells => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '--')), ...rows.map(line)].join('\n')
}
