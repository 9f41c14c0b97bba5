/* global SessionManager */
import { keepSession } from './keep-session.js'

const hasScript = document.querySelector('#videokit') !== null
document.querySelector('#sdk').textContent = hasScript
  ? 'The page passes each token to the VideoKit SDK for the web, which has one session: that of the latest token.'
  : 'VIDEOKIT_SCRIPT is not set, so the page starts no VideoKit session and loads nothing from another origin.'

/** Shows the token of a user, but never its text. It measures time by `performance.now()`: the device's clock may be wrong. */
class User {
  #path
  #view
  #stop
  #token
  #failure
  #count = 0

  constructor(path, name) {
    this.#path = path
    this.#view = document.querySelector('template').content.cloneNode(true).firstElementChild
    this.#view.setAttribute('aria-label', name)
    this.#find('h2').textContent = name
    this.#find('progress').setAttribute('aria-label', `Time left of the token of ${name}`)
    this.#find('button').addEventListener('click', () => this.#toggle())
    document.querySelector('#users').append(this.#view)
    setInterval(() => this.#draw(), 250)
    this.#draw()
  }

  async #toggle() {
    const isSignedIn = this.#stop !== undefined
    if (isSignedIn) this.#forget()
    const url = `${this.#path}/${isSignedIn ? 'sign-out' : 'sign-in'}`
    const response = await fetch(url, { method: 'POST' }).catch(() => undefined)
    if (!response?.ok) this.#fail(new Error('The server does not respond.'), 0)
    else if (!isSignedIn) this.keep()
  }

  keep() {
    this.#stop?.()
    this.#stop = keepSession(session => this.#start(session), {
      url: `${this.#path}/token`,
      onFailure: (error, seconds) => this.#fail(error, seconds),
    })
    this.#draw()
  }

  #forget() {
    this.#stop()
    this.#stop = this.#token = this.#failure = undefined
    this.#count = 0
    this.#draw()
  }

  async #start({ sessionToken, identity, expiresIn = 600 }) {
    const startedAt = performance.now()
    const stop = this.#stop
    if (hasScript) await startVideoKit(sessionToken)
    if (this.#stop !== stop) return // Signed out meanwhile.
    this.#token = { identity, expiresIn, startedAt }
    this.#count++
    this.#draw()
  }

  #fail({ message }, seconds) {
    if (seconds === undefined) return this.#forget()
    const failedAt = performance.now()
    this.#failure = { message, failedAt, retryAt: failedAt + seconds * 1_000 }
    this.#draw()
  }

  #draw() {
    const left = this.#token ? Math.max(0, this.#token.expiresIn - secondsSince(this.#token.startedAt)) : 0
    const [state, className] = this.#describe(left)
    this.#set('.state', state)
    this.#find('.state').className = `state ${className}`
    this.#set('button', `Sign ${this.#stop ? 'out' : 'in'} ${this.#find('h2').textContent}`)
    this.#find('progress').max = this.#token?.expiresIn || 1
    this.#find('progress').value = left
    this.#set('[data-is=left]', this.#token ? `${Math.ceil(left)} s` : '–')
    this.#set('[data-is=identity]', this.#token?.identity ?? '–')
    const age = this.#token ? `, the last ${Math.floor(secondsSince(this.#token.startedAt))} s ago` : ''
    this.#set('[data-is=count]', `${this.#count}${age}`)
    this.#set('[data-is=failure]', this.#describeFailure())
  }

  #describe(left) {
    if (!this.#stop) return ['Signed out.', '']
    if (left > 0) return ['Signed in, with a valid token.', 'good']
    if (!this.#failure) return ['Signed in, waiting for a token.', '']
    return ['Signed in, without a valid token.', 'bad']
  }

  #describeFailure() {
    if (!this.#failure) return 'none'
    const wait = -secondsSince(this.#failure.retryAt)
    if (wait > 0) return `${this.#failure.message} Trying again in ${Math.ceil(wait)} s.`
    return `${this.#failure.message} (${Math.floor(secondsSince(this.#failure.failedAt))} s ago)`
  }

  /** Only a change is written, because a screen reader reads each one in the status. */
  #set(selector, text) {
    const element = this.#find(selector)
    if (element.textContent !== text) element.textContent = text
  }

  #find(selector) {
    return this.#view.querySelector(selector)
  }
}

/** Its own error may contain the token. */
async function startVideoKit(sessionToken) {
  try {
    await SessionManager.startSession({ sessionToken })
  } catch {
    throw new Error('VideoKit did not start the session.')
  }
}

function secondsSince(time) {
  return (performance.now() - time) / 1_000
}

for (const path of ['/demo/1', '/demo/2']) {
  const { user, isSignedIn } = await (await fetch(`${path}/session`)).json()
  const view = new User(path, user)
  if (isSignedIn) view.keep()
}
