// Keys: each action has one, which a person may change. An element takes part by data-key-action, or by the
// selector data-press of the action's line; with data-key-focus it is focused instead of pressed.
// A key with Ctrl (or Cmd) works while typing, too: in the form that is typed into.

const STORED = 'portal-keys'
const sheet = document.getElementById('keys')
const status = document.getElementById('keys-status')
const lines = [...(sheet?.querySelectorAll('[data-action]') ?? [])]
let keys = read()
let changing = null

function standard() {
  return Object.fromEntries(lines.map((line) => [line.dataset.action, line.dataset.key]))
}

function read() {
  try {
    return { ...standard(), ...JSON.parse(localStorage.getItem(STORED) ?? '{}') }
  } catch {
    return standard()
  }
}

function store() {
  try {
    localStorage.setItem(STORED, JSON.stringify(keys))
  } catch {
    // Private windows may refuse: the keys hold until the page is left.
  }
  show()
}

const CTRL = 'Ctrl+'
const nameOf = (event) => (event.ctrlKey || event.metaKey ? CTRL : '') + event.key

function show() {
  for (const line of lines) {
    line.querySelector('kbd').textContent = keys[line.dataset.action].replace(CTRL, `${sheet.dataset.ctrl}+`)
  }
}

function isTyping(target) {
  return target.closest?.('input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable=""], [contenteditable="true"]')
}

export function onKey(event) {
  if (changing) return change(event)
  const name = nameOf(event)
  const typedInto = isTyping(event.target)
  if (event.defaultPrevented || event.altKey || document.querySelector('dialog[open]')) return
  if (name.startsWith(CTRL) ? event.repeat : typedInto) return
  const action = Object.keys(keys).find((one) => keys[one] === name)
  if (!action) return
  // Enter on a link or a button is the browser's own, and Ctrl and Enter on a link.
  if (event.key === 'Enter' && event.target.closest(name === 'Enter' ? 'a, button, summary' : 'a')) return
  if (typedInto ? actInForm(action, typedInto.form) : act(action)) event.preventDefault()
}

// What is typed into a form is sent by this form's own button; other actions are the page's.
function actInForm(action, form) {
  if (action !== 'submit') return act(action)
  return press([...(form?.elements ?? [])].find((one) => one.dataset.keyAction === action))
}

function act(action) {
  if (action === 'next' || action === 'previous') return move(action === 'next' ? 1 : -1)
  if (action === 'keys') return openSheet()
  if (action === 'save') return !document.dispatchEvent(new Event('portal:save', { cancelable: true }))
  const selector = lines.find((line) => line.dataset.action === action)?.dataset.press
  if (selector) return press(document.querySelector(selector))
  const row = document.activeElement?.closest('[data-row]')
  const here = row?.querySelector(`[data-key-action="${action}"]`)
  return press(here ?? (action === 'open' ? null : only(action)))
}

// Without a focused row: the first such element, as of the offer that ends first.
function only(action) {
  return document.querySelector(`[data-key-action="${action}"]`)
}

function press(element) {
  if (!element?.checkVisibility({ visibilityProperty: true })) return false
  if ('keyFocus' in element.dataset) element.focus()
  else element.click()
  return true
}

function move(step) {
  const rows = [...document.querySelectorAll('[data-row]')]
  const at = rows.indexOf(document.activeElement?.closest('[data-row]'))
  const row = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step]
  row?.focus()
  row?.scrollIntoView({ block: 'nearest' })
  return Boolean(row)
}

export function openSheet() {
  show()
  status.textContent = ''
  sheet.showModal()
  return true
}

function change(event) {
  if (['Shift', 'Control', 'Alt', 'Meta', 'Tab'].includes(event.key)) return
  event.preventDefault()
  event.stopPropagation()
  const action = changing
  changing = null
  if (event.key === 'Escape') {
    status.textContent = ''
  } else if (Object.keys(keys).some((name) => name !== action && keys[name] === nameOf(event))) {
    status.textContent = status.dataset.taken
  } else {
    keys[action] = nameOf(event)
    status.textContent = status.dataset.stored
    store()
  }
}

for (const line of lines) {
  line.querySelector('button').addEventListener('click', () => {
    changing = line.dataset.action
    status.textContent = status.dataset.press
  })
}
sheet?.querySelector('[data-close]').addEventListener('click', () => sheet.close())
sheet?.querySelector('[data-reset]').addEventListener('click', () => {
  keys = standard()
  store()
})
sheet?.addEventListener('cancel', (event) => changing && event.preventDefault())
document.addEventListener('keydown', onKey, { capture: true })
