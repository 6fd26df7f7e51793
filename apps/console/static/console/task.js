// The page of a task: parts that follow the stream, clocks, and ids to copy.

import { onChange } from './console.js';
import { morph } from './swap.js';

const root = document.getElementById('task')
const live = document.getElementById('task-live')
const timeline = () => document.getElementById('part-timeline')

// --- parts ----------------------------------------------------------------------------------------

// What changes without an event of the task, as deliveries and free workers do, is read that often.
const WHOLE_MS = 10_000

let wholeAt = performance.now()
let isFetching = false
let isStale = false
let held = null

async function refresh() {
  isStale = true
  if (isFetching || document.hidden) return
  isFetching = true
  try {
    while (isStale) {
      isStale = false
      const isWhole = performance.now() - wholeAt > WHOLE_MS
      const { version } = document.getElementById('part-state').dataset
      const path = isWhole ? root.dataset.fragment : `${root.dataset.fragment}?version=${version}`
      const answer = await fetch(path, { redirect: 'manual', signal: AbortSignal.timeout(10_000) })
      if (isWhole) wholeAt = performance.now()
      if (answer.status === 200) receive(await answer.text())
      else if (answer.type === 'opaqueredirect') document.getElementById('signed-out').hidden = false
    }
  } catch {
    // Without an answer the page stays as it is; the next change looks again.
  } finally {
    isFetching = false
  }
}

function receive(text) {
  const fresh = new DOMParser().parseFromString(text, 'text/html')
  for (const part of fresh.querySelectorAll('[data-part]')) {
    const present = document.getElementById(part.id)
    if (part.id === 'part-timeline') showTimeline(part)
    else if (present) morph(present, part)
  }
  setClock()
  tick()
}

let isHovered = false
timeline().addEventListener('pointerover', (event) => (isHovered = event.pointerType === 'mouse'))
timeline().addEventListener('pointerleave', () => (isHovered = false))

// Rows do not move while a person reads them: a button says how many there are.
function showTimeline(part) {
  const keys = (element) => [...element.querySelectorAll('[data-event]')].map((row) => row.dataset.key)
  const shown = new Set(keys(timeline()))
  const added = keys(part).filter((key) => !shown.has(key)).length
  const isInUse = isHovered || timeline().contains(document.activeElement)
  held = added && isInUse ? part : null
  if (!held) morph(timeline(), part)
  const button = document.getElementById('new-events')
  button.hidden = !held
  button.textContent = added === 1 ? button.dataset.one : button.dataset.many.replace('{count}', added)
  if (added) live.textContent = button.textContent
}

function showHeld() {
  if (held) morph(timeline(), held)
  held = null
  document.getElementById('new-events').hidden = true
}

document.addEventListener('click', (event) => {
  if (event.target.closest('#new-events')) showHeld()
})
document.addEventListener('visibilitychange', () => document.hidden || refresh())
onChange(refresh)

// --- clocks ---------------------------------------------------------------------------------------

let ahead = 0
let readAt = ''

function setClock() {
  const at = document.getElementById('part-state').dataset.now
  if (at !== readAt) ahead = Date.parse(at) - Date.now()
  readAt = at
}

function tick() {
  for (const element of document.querySelectorAll('time[data-until]')) {
    const left = Math.floor((Date.parse(element.dataset.until) - Date.now() - ahead) / 1000)
    const text = left <= 0 ? root.dataset.over : digits(left)
    if (element.textContent !== text) element.textContent = text
  }
}

function digits(seconds) {
  const two = (number) => String(number).padStart(2, '0')
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60]
  return `${days ? `${days} ${root.dataset.day} ` : ''}${hours}:${two(minutes)}:${two(seconds % 60)}`
}

setClock()
tick()
setInterval(tick, 1000)

// --- ids ------------------------------------------------------------------------------------------

document.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-copy]')
  if (!button) return
  await navigator.clipboard.writeText(button.dataset.copy)
  live.textContent = root.dataset.copied
  button.firstChild.nodeValue = root.dataset.copied
})
