// Creates the tables of the README and the guides from the declarations, the docstrings and the code.
import ts from 'typescript'
import { declaration, docstring, load, parse } from './source.mjs'

/** Creates a row for each error code. The first paragraph of the docstring is the cause, the second the fix. */
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
  const documented = new Set(rows.map(([, code]) => code))
  const codes = declaration('lib/core/error-json.ts', 'VKitErrorCode').type.types.map(
    type => `\`${type.literal.text}\``,
  )
  const missing = codes.filter(code => !documented.has(code))
  if (missing.length > 0) throw new Error(`The docstrings of lib/core/errors.ts do not document ${missing.join(', ')}`)
  return table(['class', 'code', 'retryable', 'when', 'what to do'], rows)
}

/** Splits "`CODE`: text. `CODE`: text." by code. Text without a code has the key ''. */
function byCode(paragraph) {
  const parts = paragraph.split(/`(VKIT_\w+)`: /)
  const byName = new Map()
  if (parts[0]) byName.set('', parts[0].trim())
  for (let i = 1; i < parts.length; i += 2) byName.set(parts[i], parts[i + 1].trim())
  return byName
}

/** Creates a row for each option. It compares numeric defaults in docstrings with the defaults in the code. */
export async function optionTable(name, prefix = '') {
  const { resolveBatch } = await load('lib/options/call-options.ts')
  const { resolveClientOptions } = await load('lib/options/client-options.ts')
  const resolved = name === 'GetSessionTokensOptions' ? resolveBatch([]) : resolveClientOptions()
  const rows = declaration('lib/options/types.ts', name).members.map(member => {
    const option = member.name.text
    const [, text, stated = ''] = /^(.*?)\s*(?:Default:? (.*?)\.?)?$/.exec(docstring(member).join(' '))
    const value = resolved[option]
    // The defaults of a call are the options of the client, so the code has no number for them.
    const inCode =
      typeof value === 'number' && name !== 'GetSessionTokenOptions' ? value.toLocaleString('en-US') : undefined
    if (inCode !== undefined && inCode !== stated) {
      throw new Error(`The docstring of ${prefix}${option} states Default ${stated}, but the code uses ${inCode}`)
    }
    return [`\`${prefix}${option}\``, typeOf(member), stated || '–', sentence(text) || '–']
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
  return table(['event', 'fields', 'when'], rows)
}

/** Creates a row for each member of an interface. */
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
