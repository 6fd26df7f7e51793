// Parts of a page that follow the stream: each reads itself again when one of its topics changes.

const news = document.getElementById('news')
const TOUCH_MS = 1500
// A press may end where this page does not hear of it, as in a menu of the browser.
const PRESS_MS = 3000

/** `page` has texts and addresses; `setClock(at, moment)` tells what the server's clock said. */
export class Part {
  constructor(element, { page, live, announce, tick, setClock, patience }) {
    Object.assign(this, { element, page, announce, tick, setClock, patience })
    this.isHovered = false
    this.touchedAt = -Infinity
    this.isPressed = false
    this.held = null
    this.waiting = null
    for (const topic of element.dataset.topics.split(' ')) live.on(topic, () => this.ask())
    // For what no event tells.
    const every = Number(element.dataset.every) * 1000
    if (every) setInterval(() => document.visibilityState === 'visible' && this.ask(), every)
    element.addEventListener('portal:due', () => {
      setTimeout(() => this.look(), 300 + 700 * Math.random())
      // The services that end offers and shifts may need a moment.
      setTimeout(() => this.look(), 3000 + 1000 * Math.random())
    })
    element.addEventListener('pointerover', (event) => (this.isHovered = event.pointerType === 'mouse'))
    element.addEventListener('pointerleave', () => this.leave())
    element.addEventListener('pointerdown', () => this.press())
    for (const type of ['pointerup', 'pointercancel']) addEventListener(type, () => this.release())
    element.addEventListener('focusout', (event) => {
      if (!element.contains(event.relatedTarget)) queueMicrotask(() => this.showWaiting())
    })
  }

  // Several topics may change at once: they are read once.
  ask() {
    this.asked ??= Promise.resolve().then(() => {
      this.asked = null
      return this.look()
    })
  }

  press() {
    this.touchedAt = performance.now()
    this.isPressed = true
    clearTimeout(this.pressEnds)
    this.pressEnds = setTimeout(() => this.release(), PRESS_MS)
  }

  // The click comes after the end of the press.
  release() {
    if (!this.isPressed) return
    clearTimeout(this.pressEnds)
    setTimeout(() => {
      this.isPressed = false
      const held = this.held
      this.held = null
      if (held) this.receive(...held)
    }, 50)
  }

  leave() {
    this.isHovered = false
    // The pointer may be on its way to the bar that says what is new.
    setTimeout(() => this.showWaiting(), TOUCH_MS)
  }

  isInUse() {
    const sinceTouch = performance.now() - this.touchedAt
    if (sinceTouch < TOUCH_MS) setTimeout(() => this.showWaiting(), TOUCH_MS - sinceTouch + 50)
    return this.isPressed || this.isHovered || sinceTouch < TOUCH_MS || this.element.contains(document.activeElement)
  }

  async look() {
    if (this.isBusy) return (this.again = true)
    this.isBusy = true
    try {
      const asked = Date.now()
      const answer = await fetch(this.element.dataset.fragment, {
        redirect: 'manual', signal: AbortSignal.timeout(this.patience),
      })
      if (answer.ok) this.receive(await answer.text(), asked)
      else if (answer.type === 'opaqueredirect' || answer.status === 403) showEnded(this.page)
    } catch {
      // There is no answer: the next change, or the next connection, looks again.
    } finally {
      this.isBusy = false
      if (this.again) {
        this.again = false
        this.look()
      }
    }
  }

  receive(text, asked) {
    // A button that is replaced between the press and its end is not clicked.
    if (this.isPressed) return (this.held = [text, asked])
    const fresh = new DOMParser().parseFromString(text, 'text/html').body
    const at = Date.parse(fresh.firstElementChild?.dataset.now)
    if (at) this.setClock(at, (asked + Date.now()) / 2)
    const shown = rowIds(this.element)
    const coming = rowIds(fresh)
    const added = coming.filter((id) => !shown.includes(id))
    const isSame = added.length === 0 && coming.length === shown.length
    if (isSame || shown.length === 0 || !this.isInUse()) return this.show(fresh, added)
    // Rows must not move under a finger: say what is new, and close what has ended in its place.
    this.waiting = { fresh, added }
    for (const row of this.element.querySelectorAll('[data-row]')) close(row, !coming.includes(row.id))
    if (added.length) showNews(added, fresh, this.page, () => this.showWaiting(true))
    this.announceNew(fresh, added)
  }

  showWaiting(isAsked = false) {
    if (!this.waiting || (!isAsked && this.isInUse())) return
    const { fresh, added } = this.waiting
    this.show(fresh, isAsked ? [] : added)
    if (isAsked) document.getElementById(added[0])?.focus()
  }

  show(fresh, added) {
    const focused = this.element.contains(document.activeElement) && document.activeElement.id
    this.waiting = null
    if (news) news.hidden = true
    this.element.replaceChildren(...fresh.childNodes)
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true })
    this.tick()
    this.announceNew(this.element, added)
    this.element.dispatchEvent(new Event('portal:shown', { bubbles: true }))
  }

  announceNew(root, added) {
    const rows = added.map((id) => root.querySelector(`[id="${id}"]`)?.dataset.announce)
    this.announce(rows.filter(Boolean).join('. '))
  }
}

function rowIds(root) {
  return [...root.querySelectorAll('[data-row]')].map((row) => row.id)
}

function close(row, isGone) {
  row.classList.toggle('is-gone', isGone)
  const text = row.querySelector('.gone')
  if (text) text.hidden = !isGone
  const section = row.closest('section'), count = section?.querySelector('[data-count]')
  if (!count) return
  const left = section.querySelectorAll('[data-row]:not(.is-gone)').length
  count.textContent = left
  count.hidden = !left
}

function showNews(added, fresh, page, call) {
  if (!news) return
  const one = added.length === 1 && fresh.querySelector(`[id="${added[0]}"]`)?.dataset.announce
  news.textContent = one || page.manyNew.replace('{count}', added.length)
  news.onclick = call
  news.hidden = false
}

function showEnded(page) {
  const place = document.getElementById('ended')
  if (!place) return location.reload()
  place.textContent = page.ended
  place.hidden = false
}
