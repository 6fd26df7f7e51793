// The reviewer's inbox: choosing rows of the list; and on a review: marks, the verdict, the claim, images.

import { announce, loadKeys } from './portal.js';

const RENEW_MS = 180_000
// After a call that failed.
const RETRY_MS = 15_000
// A page that was not touched for as long is not used: its claim ends by itself.
const USED_MS = 300_000
const PATIENCE_MS = 20_000

// --- the list: what is chosen survives that rows are read again ------------------------------------

const inbox = document.getElementById('inbox')
const choosing = document.getElementById('choose-form')
const chosen = new Set()
let kind = ''

const boxes = () => [...inbox.querySelectorAll('.choose input')]
const kindOf = (box) => box.closest('[data-row]').dataset.kind

function showChosen() {
  const all = boxes()
  if (!all.length) return
  for (const box of all) box.checked = chosen.has(box.value)
  kind = kindOf(all.find((box) => box.checked) ?? all[0])
  const alike = all.filter((box) => kindOf(box) === kind)
  for (const box of all) {
    const isUnlike = chosen.size > 0 && kindOf(box) !== kind
    box.disabled = isUnlike
    box.closest('[data-row]').classList.toggle('is-unlike', isUnlike)
  }
  const text = document.getElementById('chosen'), button = document.getElementById('choose-alike')
  text.textContent = chosen.size ? text.dataset.text.replace('{count}', chosen.size) : ''
  button.hidden = chosen.size === alike.length
  button.textContent = button.dataset.text.replace('{count}', alike.length)
}

if (inbox && choosing) {
  inbox.addEventListener('change', ({ target }) => {
    if (!target.matches('.choose input')) return
    if (target.checked) chosen.add(target.value)
    else chosen.delete(target.value)
    showChosen()
  })
  inbox.addEventListener('portal:shown', () => {
    const here = boxes().map((box) => box.value)
    for (const one of chosen) if (!here.includes(one)) chosen.delete(one)
    showChosen()
  })
  document.getElementById('choose-alike').addEventListener('click', () => {
    for (const box of boxes()) if (kindOf(box) === kind) chosen.add(box.value)
    showChosen()
  })
  // The browser may have kept the boxes of a page that is shown again.
  for (const box of boxes()) if (box.checked) chosen.add(box.value)
  showChosen()
}

// --- the verdict ----------------------------------------------------------------------------------

const form = document.getElementById('verdict-form')
const reason = document.getElementById('reason')
const marks = () => [...document.querySelectorAll('[name=pointer]')]

function keep() {
  const typed = {
    reason: reason.value,
    rating: form.elements.rating?.value ?? '',
    pointers: marks().filter((box) => box.checked).map((box) => box.value),
  }
  try {
    sessionStorage.setItem(`review:${form.dataset.keep}`, JSON.stringify(typed))
  } catch {
    // Private windows may refuse: the page has it until it is left.
  }
}

// What the server shows again is newer than what this tab has kept.
function restore() {
  let kept = null
  try {
    kept = JSON.parse(sessionStorage.getItem(`review:${form.dataset.keep}`))
  } catch {
    return
  }
  if (!kept || reason.value || marks().some((box) => box.checked)) return
  reason.value = kept.reason
  if (form.elements.rating) form.elements.rating.value = kept.rating
  for (const box of marks()) box.checked = kept.pointers.includes(box.value)
}

function showMarks() {
  const text = document.getElementById('marked')
  if (!text) return
  const labels = marks().filter((box) => box.checked)
    .map((box) => box.parentElement.querySelector('.line-label bdi').textContent)
  text.textContent = labels.length ? text.dataset.text.replace('{labels}', labels.join(', ')) : text.dataset.none
}

function needsReason(button) {
  if (button.dataset.verdict === 'approve' || reason.value.trim()) return false
  const error = document.getElementById('reason-error')
  error.textContent = error.dataset.text
  error.hidden = false
  reason.setAttribute('aria-invalid', 'true')
  document.getElementById('reason-field').classList.add('invalid')
  reason.focus()
  // Ctrl and Enter in the reason then repeat what was asked for.
  for (const one of document.querySelectorAll('[data-verdict]')) delete one.dataset.keyAction
  button.dataset.keyAction = 'submit'
  return true
}

function clearError() {
  document.getElementById('reason-error').hidden = true
  reason.removeAttribute('aria-invalid')
  document.getElementById('reason-field').classList.remove('invalid')
}

function ask(button) {
  const dialog = document.getElementById(`confirm-${button.dataset.verdict}`)
  dialog.showModal()
  dialog.querySelector('[data-yes]').onclick = () => {
    const field = Object.assign(document.createElement('input'), {
      type: 'hidden', name: 'confirmed', value: button.dataset.verdict,
    })
    form.append(field)
    dialog.close()
    form.requestSubmit(button)
  }
}

let isSent = false

function onVerdict(event) {
  const button = event.submitter
  if (!button?.dataset.verdict) return
  const isConfirmed = form.elements.confirmed?.value === button.dataset.verdict
  if (isSent || needsReason(button)) return event.preventDefault()
  if ('confirm' in button.dataset && !isConfirmed) {
    event.preventDefault()
    return ask(button)
  }
  // Pressed twice, it is sent once.
  isSent = true
  keep()
  return undefined
}

if (form) {
  if (matchMedia('(hover: hover)').matches) loadKeys()
  restore()
  showMarks()
  form.addEventListener('submit', onVerdict)
  document.addEventListener('input', ({ target }) => {
    if (target.form !== form) return
    if (target === reason) clearError()
    keep()
    showMarks()
  })
  // Escape leaves the reason, so that keys decide again.
  reason.addEventListener('keydown', ({ key }) => key === 'Escape' && reason.blur())
  // Selecting a part of a text is no mark, and Enter in a box marks, and decides nothing.
  for (const point of document.querySelectorAll('label.point')) {
    point.addEventListener('click', (event) => {
      if (event.target.tagName !== 'INPUT' && String(getSelection())) event.preventDefault()
    })
  }
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.ctrlKey || event.metaKey) return
    if (!event.target.matches('[name=pointer], [name=rating], label.point')) return
    event.preventDefault()
    const box = event.target.matches('label.point') ? event.target.querySelector('input') : event.target
    if (box.name === 'pointer') box.click()
  })
  addEventListener('pageshow', () => (isSent = false))
  const asked = document.querySelector('.confirm[data-open]')
  if (asked) ask(document.querySelector(`[data-verdict="${asked.id.replace('confirm-', '')}"]`))
}

// --- the claim ------------------------------------------------------------------------------------

const claim = document.getElementById('claim')
let usedAt = performance.now()
let renewedAt = performance.now()

// What says that the review is another's, or that the person may not have it; else it is tried again.
const LOST = [403, 404, 409]

async function renew() {
  renewedAt = performance.now()
  const token = form.elements.csrfmiddlewaretoken.value
  let found, answer
  try {
    found = await fetch(claim.dataset.renew, {
      method: 'POST', headers: { 'X-CSRFToken': token }, redirect: 'manual', signal: AbortSignal.timeout(PATIENCE_MS),
    })
    answer = found.ok ? await found.json() : { refused: found.status }
  } catch {
    return tryAgain()
  }
  // Whom the service does not know it may lead to the sign-in.
  if (found.type === 'opaqueredirect' || answer.refused === 401) return say(claim.dataset.signedOut)
  if (LOST.includes(answer.refused)) return say(claim.dataset.lost)
  if (!Number.isInteger(answer.version)) return tryAgain()
  const until = document.getElementById('until')
  // The claim may have lapsed and been taken again: others have not had it.
  form.elements.version.value = answer.version
  until.textContent = new Date(answer.until).toLocaleTimeString(until.dataset.locale, { timeStyle: 'short' })
  until.dateTime = answer.until
  return say('')
}

function tryAgain() {
  renewedAt = performance.now() - RENEW_MS + RETRY_MS
  say(claim.dataset.offline)
}

// What is wrong with the claim; empty: nothing.
function say(text) {
  const trouble = document.getElementById('claim-trouble')
  if (text && text !== trouble.textContent) announce(text)
  trouble.textContent = text
  trouble.hidden = !text
  document.getElementById('yours').hidden = Boolean(text)
}

const isVisible = () => document.visibilityState === 'visible'
const isUsed = () => performance.now() - usedAt < USED_MS
const isDue = () => performance.now() - renewedAt > RENEW_MS

if (claim && form) {
  for (const type of ['pointerdown', 'keydown', 'scroll', 'focus']) {
    addEventListener(type, () => {
      usedAt = performance.now()
      if (isVisible() && isDue()) renew()
    }, { passive: true, capture: true })
  }
  setInterval(() => isVisible() && isUsed() && isDue() && renew(), 15_000)
}

// --- images ---------------------------------------------------------------------------------------

const viewer = document.getElementById('viewer')
const shots = [...document.querySelectorAll('[data-shot]')]
let at = 0

function show(index) {
  at = (index + shots.length) % shots.length
  const image = viewer.querySelector('img'), shown = shots[at].querySelector('img')
  image.src = shots[at].href
  image.alt = shown.alt
  viewer.querySelector('[data-caption]').textContent = `${shown.alt} (${at + 1}/${shots.length})`
  viewer.querySelector('[data-save]').href = shots[at].href
}

for (const [index, shot] of shots.entries()) {
  shot.addEventListener('click', (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    show(index)
    viewer.showModal()
  })
}
viewer?.addEventListener('click', ({ target }) => {
  if (target.dataset.step) show(at + Number(target.dataset.step))
})
viewer?.addEventListener('keydown', ({ key }) => {
  if (key === 'ArrowLeft' || key === 'ArrowRight') show(at + (key === 'ArrowRight' ? 1 : -1))
})
for (const dialog of document.querySelectorAll('.viewer, .confirm')) {
  dialog.addEventListener('click', ({ target }) => 'close' in target.dataset && dialog.close())
}
