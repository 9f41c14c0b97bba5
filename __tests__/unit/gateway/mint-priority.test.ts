import { describe, expect, it } from '@jest/globals'
import { MintPriority } from '../../../lib/gateway/mint-priority.js'

/** Creates a priority, and records the levels that it reports to a listener. */
function setUp(level: 'call' | 'refresh' | 'bulk') {
  const priority = new MintPriority(level)
  const raises: string[] = []
  const stop = priority.onRaise(() => raises.push(priority.level))
  return { priority, raises, stop }
}

describe('the priority of a mint', () => {
  it('rises from bulk to refresh to call, and reports each rise', () => {
    const { priority, raises } = setUp('bulk')
    priority.raise('refresh')
    priority.raise('call')
    expect(raises).toEqual(['refresh', 'call'])
  })

  it('rises from bulk directly to call', () => {
    const { priority, raises } = setUp('bulk')
    priority.raise('call')
    expect(raises).toEqual(['call'])
  })

  it('never falls', () => {
    const { priority, raises } = setUp('call')
    priority.raise('bulk')
    priority.raise('refresh')
    expect(priority.level).toBe('call')
    expect(raises).toEqual([])
  })

  it('does not report a rise to its current level', () => {
    const { priority, raises } = setUp('refresh')
    priority.raise('refresh')
    expect(raises).toEqual([])
  })

  it('reports nothing to a listener that has unsubscribed', () => {
    const { priority, raises, stop } = setUp('bulk')
    stop()
    priority.raise('call')
    expect(raises).toEqual([])
    expect(priority.level).toBe('call')
  })
})
