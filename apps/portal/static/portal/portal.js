// What every page of the portal runs: the server's clock, countdowns, and the stream that all tabs
// share. What some pages need, and what is rare, is loaded when it is needed.

const page = document.getElementById('portal')?.dataset ?? {}
// How long an answer may take.
const PATIENCE_MS = 20_000
const announcer = document.getElementById('announcer')

document.querySelector('.error-summary')?.focus()

// --- the server's clock ---------------------------------------------------------------------------

let offset = 0
const navigation = performance.getEntriesByType('navigation')[0]
if (page.now && navigation) {
  offset = Date.parse(page.now) - (performance.timeOrigin + navigation.responseStart)
}

/** Return the server's time in milliseconds. */
export function now() {
  return Date.now() + offset
}

/** Say something to a screen reader, when it has finished what it is saying. */
export function announce(text) {
  if (announcer && text) announcer.textContent = text
}

// --- countdowns: <time data-until="…">, in digits, or in words with data-words ---------------------

const THRESHOLDS = [30, 10]
const words = new Intl.RelativeTimeFormat(document.documentElement.lang || 'en')

function digits(seconds) {
  const two = (number) => String(number).padStart(2, '0')
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor(seconds / 60) % 60
  return (hours ? `${hours}:${two(minutes)}` : `${minutes}`) + `:${two(seconds % 60)}`
}

function inWords(seconds) {
  if (seconds < 90) return words.format(seconds, 'second')
  if (seconds < 5400) return words.format(Math.round(seconds / 60), 'minute')
  if (seconds < 129600) return words.format(Math.round(seconds / 3600), 'hour')
  return words.format(Math.round(seconds / 86400), 'day')
}

function tick() {
  for (const element of document.querySelectorAll('time[data-until]')) {
    const left = Math.max(0, Math.ceil((Date.parse(element.dataset.until) - now()) / 1000))
    const before = element.left
    element.left = left
    if (left === before) continue
    if (!element.hidden) {
      const text = 'words' in element.dataset ? inWords(left) : digits(left)
      if (element.textContent !== text) element.textContent = text
      element.parentElement.classList.toggle('soon', left <= THRESHOLDS[0])
      if (before > left && THRESHOLDS.includes(left)) announceLeft(element, left)
    }
    // A time that was over when the page came is known to the server.
    if (left === 0 && before > 0) element.dispatchEvent(new Event('portal:due', { bubbles: true }))
  }
}

function announceLeft(element, seconds) {
  const title = element.closest('.offer, [data-row]')?.dataset.title
  if (title && !('words' in element.dataset)) {
    announce(page.seconds.replace('{seconds}', seconds).replace('{title}', title))
  }
}

setInterval(tick, 250)
tick()

// --- the stream -----------------------------------------------------------------------------------

const subscribers = new Map()
const channel = 'BroadcastChannel' in self ? new BroadcastChannel('portal') : null
const EVERYTHING = { offers: [], runs: [], messages: [], worker: [], reviews: [] }

/** Call back on changes of a topic: `offers`, `runs`, `messages` (with the ids of their tasks, or none
 * where anything may have changed), `worker` or `reviews`. */
export const live = {
  on(topic, call) {
    const calls = subscribers.get(topic) ?? new Set()
    subscribers.set(topic, calls.add(call))
    // The stream has said before that anything may have changed.
    if (document.documentElement.dataset.live) queueMicrotask(() => call([]))
    return () => calls.delete(call)
  },
}

function deliver(changes) {
  for (const [topic, taskIds] of Object.entries(changes)) {
    for (const call of subscribers.get(topic) ?? []) call(taskIds)
  }
}

function publish(changes) {
  channel?.postMessage(changes)
  deliver(changes)
}

let source = null
let retry = 0
let failures = 0

function connect() {
  clearTimeout(retry)
  source?.close()
  source = new EventSource(page.stream, { withCredentials: true })
  source.addEventListener('connected', () => {
    failures = 0
    document.documentElement.dataset.live = 'true'
    // What happened while no stream was open.
    publish(EVERYTHING)
  })
  source.addEventListener('changed', (event) => publish(JSON.parse(event.data)))
  source.addEventListener('ended', (event) => {
    if (JSON.parse(event.data).reason === 'time') failures = 0
    else publish(EVERYTHING)
    connectLater()
  })
  source.onerror = () => {
    // Without a stream the page still looks by itself, once for each attempt.
    if (failures > 1) publish(EVERYTHING)
    connectLater()
  }
}

function disconnect() {
  clearTimeout(retry)
  source?.close()
  source = null
  delete document.documentElement.dataset.live
}

function connectLater() {
  disconnect()
  // Spread: after a restart of the stream all pages return.
  const seconds = Math.min(30, 2 ** failures++) * (0.5 + 2.5 * Math.random())
  retry = setTimeout(connect, seconds * 1000)
}

// One tab has the stream for all. A tab that becomes visible takes it over: a hidden one may be frozen.
let isLeader = false
let queued = null

function lead(isNow) {
  queued?.abort()
  queued = isNow ? null : new AbortController()
  const own = queued
  const options = own ? { signal: own.signal } : { steal: true }
  navigator.locks.request('portal-stream', options, holdStream).catch(() => {
    if (own?.signal.aborted) return
    // Another tab has taken it over.
    isLeader = false
    disconnect()
    lead(false)
  })
}

function holdStream() {
  isLeader = true
  connect()
  return new Promise(() => {})
}

const isVisible = () => document.visibilityState === 'visible'

if (page.stream) {
  if (channel) channel.onmessage = (event) => deliver(event.data)
  if (navigator.locks) lead(isVisible())
  else holdStream()
  document.addEventListener('visibilitychange', () => {
    if (isVisible() && !isLeader) lead(true)
  })
  addEventListener('offline', () => isLeader && disconnect())
  addEventListener('online', () => isLeader && !source && connect())
  addEventListener('pageshow', (event) => event.persisted && deliver(EVERYTHING))
}

// --- a visible page needs no notices --------------------------------------------------------------

const SEEN_MS = 20000
const NO_NOTICES = 'portal-no-notices'

async function reportVisible() {
  const token = document.querySelector('[name=csrfmiddlewaretoken]')?.value
  if (!isVisible() || !token || sessionStorage.getItem(NO_NOTICES)) return
  const answer = await fetch(page.seen, {
    method: 'POST', headers: { 'X-CSRFToken': token }, signal: AbortSignal.timeout(PATIENCE_MS),
  })
  // The worker gets no notices: there is nothing to hold back.
  if (answer.status === 200) sessionStorage.setItem(NO_NOTICES, 'true')
}

if (page.seen) {
  setTimeout(() => reportVisible().catch(() => {}), 3000)
  setInterval(() => reportVisible().catch(() => {}), SEEN_MS)
}

// --- parts of a page that follow the stream: <div data-fragment="path" data-topics="offers runs"> -----

async function followParts(elements, tries = 0) {
  const { Part } = await import(tries ? `${page.follow}?${tries}` : page.follow).catch(() => ({}))
  if (!Part) return setTimeout(() => followParts(elements, tries + 1), 5000)
  const setClock = (at, moment) => { offset = at - moment }
  for (const element of elements) new Part(element, { page, live, announce, tick, setClock, patience: PATIENCE_MS })
  return undefined
}

const fragments = document.querySelectorAll('[data-fragment]')
if (fragments.length) followParts(fragments)

// --- what this device keeps -----------------------------------------------------------------------

const CLEANED = 'portal-cleaned'
const DAY_MS = 24 * 3600 * 1000

async function cleanDaily() {
  if (Date.now() - Number(localStorage.getItem(CLEANED)) < DAY_MS) return
  localStorage.setItem(CLEANED, Date.now())
  const { deleteOld } = await import(page.device)
  await deleteOld(page)
}

// As in ui/page.js, for the pages of the account.
const signOut = document.querySelector('form[data-sign-out]')
signOut?.addEventListener('submit', (event) => {
  if (!page.owner) return
  event.preventDefault()
  // A failure here must not prevent the sign-out.
  import(page.device).then((one) => one.signOut(signOut, page)).catch(() => signOut.submit())
})

// --- keys, and the app ----------------------------------------------------------------------------

const TYPED = 'input:not([type=checkbox], [type=radio]), textarea, select'
// A phone never loads the keys; a desk does with the first key that is not typed into a field, or with Ctrl.
let keys = null
let hasKeys = false

/** Load the keys before the first one is pressed, on pages that are worked through by keyboard. */
export function loadKeys() {
  keys ??= import(page.keys).then((one) => {
    hasKeys = true
    return one
  })
  return keys
}

document.addEventListener('keydown', (event) => {
  const isTyped = !event.ctrlKey && !event.metaKey && event.target.closest?.(TYPED)
  if (hasKeys || !page.keys || isTyped) return
  // An earlier key may have led into a field meanwhile: what follows is typed, and no action.
  const isLed = () => document.activeElement !== event.target && document.activeElement?.matches(TYPED)
  loadKeys().then((one) => isLed() || one.onKey(event))
})
for (const button of document.querySelectorAll('[data-open-keys]')) {
  button.addEventListener('click', () => loadKeys().then((one) => one.openSheet()))
}

if (page.owner) {
  for (const type of ['pointerdown', 'keydown']) {
    addEventListener(type, () => cleanDaily().catch(() => {}), { once: true })
  }
}

const app = document.querySelector('[data-worker]')
if (app && 'serviceWorker' in navigator) {
  // With the first touch or key: it is no part of loading the page.
  for (const type of ['pointerdown', 'keydown']) {
    addEventListener(type, () => navigator.serviceWorker.register(app.dataset.worker, { scope: './' }), {
      once: true,
    })
  }
}
