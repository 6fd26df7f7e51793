// Make lists and choices of a form work, and show faults at their fields.
// apps/ui/schema_forms renders the HTML, with a <template> for each new row and each alternative.

const NAMES = ['name', 'data-field', 'data-list']
const IDS = ['id', 'for', 'data-list-id', 'aria-describedby', 'aria-labelledby']
const attached = new WeakSet()
// What the last removal in a list took away: the row and its place.
const removed = new WeakMap()

/** Attach the behaviour to all forms of schemas in `root`. It may be called again. */
export function attach(root = document) {
  for (const form of formsIn(root)) {
    if (attached.has(form)) continue
    attached.add(form)
    form.addEventListener('click', (event) => onClick(form, event))
    form.addEventListener('change', onChange)
    form.addEventListener('keydown', (event) => onKey(form, event))
    form.dataset.attached = ''
    for (const list of form.querySelectorAll('[data-list]')) update(list)
  }
}

/** Show `faults` ({pointer, text}) at their fields, and no others. Return those without a field. */
export function showFaults(root, faults) {
  const fields = new Map()
  for (const form of formsIn(root)) {
    for (const field of form.querySelectorAll('[data-field]')) {
      fields.set(`/${field.dataset.field}`, field)
    }
  }
  const texts = new Map()
  for (const { pointer, text } of faults) {
    if (fields.has(pointer)) texts.set(pointer, [...(texts.get(pointer) ?? []), text])
  }
  for (const [pointer, field] of fields) showTexts(field, texts.get(pointer) ?? [])
  return faults.filter(({ pointer }) => !fields.has(pointer))
}

function formsIn(root) {
  const inner = [...root.querySelectorAll('[data-schema-form]')]
  return root.matches?.('[data-schema-form]') ? [root, ...inner] : inner
}

function showTexts(field, texts) {
  const place = field.querySelector(':scope > .error')
  const joined = texts.join(' ')
  if (place && place.textContent.trim() !== joined) place.textContent = joined
  if (place) place.hidden = !joined
  field.classList.toggle('invalid', Boolean(joined))
  // The choice between two times is there only when it is needed.
  if (joined) field.hidden = false
  const inputs = [...field.querySelectorAll(':scope > :is(input, select, textarea)')]
  if (field.getAttribute('role') === 'radiogroup') inputs.push(field)
  for (const each of inputs.filter((input) => input.type !== 'hidden')) {
    if (joined) each.setAttribute('aria-invalid', 'true')
    else each.removeAttribute('aria-invalid')
  }
}

function onClick(form, event) {
  const button = event.target.closest('button')
  const list = button?.closest('[data-list]')
  if (!list) return
  if ('add' in button.dataset) add(form, list)
  else if ('restore' in button.dataset) restore(form, list)
  else if ('remove' in button.dataset) remove(form, list, button.closest('[data-row]'))
  else if ('move' in button.dataset) {
    move(form, list, button.closest('[data-row]'), Number(button.dataset.move), button)
  }
}

function onKey(form, event) {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key]
  const row = event.target.closest('[data-row]')
  if (!step || !row || !event.altKey || !event.shiftKey || event.ctrlKey || event.metaKey) return
  // While typing, these keys select text.
  if (event.target.matches('textarea, select, input:not([type=radio], [type=checkbox])')) return
  event.preventDefault()
  move(form, row.closest('[data-list]'), row, step, event.target)
}

function rowsOf(list) {
  return [...list.querySelector(':scope > [data-rows]').children]
}

function add(form, list) {
  const rows = list.querySelector(':scope > [data-rows]')
  const template = list.querySelector(':scope > [data-new-row]')
  const row = document.importNode(template.content.firstElementChild, true)
  rename(row, list, rows.children.length)
  rows.append(row)
  for (const inner of row.querySelectorAll('[data-list]')) update(inner)
  changed(form, list, 'added', row)
  firstControl(row)?.focus()
}

function remove(form, list, row) {
  const place = rowsOf(list).indexOf(row)
  row.remove()
  removed.set(list, { row, place })
  renumber(list)
  changed(form, list, 'removed', row)
  const next = rowsOf(list)[Math.min(place, rowsOf(list).length - 1)]
  const target = next?.querySelector(':scope > .form-row-actions > [data-remove]')
  ;(target ?? shownButton(list)).focus()
}

function restore(form, list) {
  const { row, place } = removed.get(list)
  removed.delete(list)
  const rows = rowsOf(list)
  const at = Math.min(place, rows.length)
  // Its old number may be another row's by now.
  rename(row, list, '-')
  if (at === rows.length) list.querySelector(':scope > [data-rows]').append(row)
  else rows[at].before(row)
  renumber(list)
  changed(form, list, 'restored', row)
  firstControl(row)?.focus()
}

function move(form, list, row, step, focused) {
  const rows = rowsOf(list)
  const at = rows.indexOf(row)
  const other = rows[at + step]
  if (!other) return
  // The other row moves, so that the one with the focus stays in the document.
  if (step < 0) row.after(other)
  else row.before(other)
  renumber(list)
  changed(form, list, 'moved', row)
  if (!focused.disabled) focused.focus()
  else row.querySelector(':scope > .form-row-actions > [data-move]:not(:disabled)')?.focus()
  row.scrollIntoView({ block: 'nearest' })
}

function shownButton(list) {
  return list.querySelector(':scope > .form-list-actions > [data-add]:not([hidden])') ??
    list.querySelector(':scope > .form-list-actions > [data-restore]')
}

function firstControl(row) {
  return row.querySelector('input:not([type=hidden]), select, textarea') ??
    row.querySelector('button:not(:disabled)')
}

function changed(form, list, what, row) {
  update(list)
  announce(form, what, rowsOf(list).indexOf(row) + 1, rowsOf(list).length)
  list.dispatchEvent(new Event('input', { bubbles: true }))
}

function announce(form, what, place, count) {
  const text = form.dataset[what].replace('{place}', place).replace('{count}', count)
  form.querySelector(':scope > [data-announcement]').textContent = text
}

/** Show the buttons that can be used. */
function update(list) {
  const rows = rowsOf(list)
  for (const [place, row] of rows.entries()) {
    const [up, down] = row.querySelectorAll(':scope > .form-row-actions > [data-move]')
    up.disabled = place === 0
    down.disabled = place === rows.length - 1
  }
  const most = list.dataset.most === undefined ? Infinity : Number(list.dataset.most)
  const actions = list.querySelector(':scope > .form-list-actions')
  actions.querySelector('[data-add]').hidden = rows.length >= most
  actions.querySelector('[data-restore]').hidden = !removed.has(list) || rows.length >= most
}

/** Number the rows from 0 on. Radio buttons of two rows never have the same name meanwhile. */
function renumber(list) {
  const rows = rowsOf(list)
  const wrong = rows.filter((row, place) => row.dataset.row !== String(place))
  for (const [number, row] of wrong.entries()) rename(row, list, `new${number}`)
  for (const row of wrong) rename(row, list, rows.indexOf(row))
}

/** Rename all in a row, templates included. */
function rename(row, list, to) {
  const { list: name, listId: id } = list.dataset
  const from = row.dataset.row
  const renaming = {
    names: [`${name}/${from}`, `${name}/${to}`],
    ids: [`${id}-${idPart(from)}`, `${id}-${idPart(to)}`],
  }
  row.dataset.row = to
  for (const each of row.querySelectorAll('[data-number]')) {
    // Those of rows in an inner list have numbers of their own.
    if (each.closest('[data-row]') === row) each.textContent = Number(to) + 1
  }
  renameIn(row, renaming)
}

function renameIn(root, renaming) {
  const elements = [...root.querySelectorAll('*')]
  if (root.nodeType === Node.ELEMENT_NODE) elements.push(root)
  for (const element of elements) {
    for (const attribute of NAMES) {
      replacePrefix(element, attribute, renaming.names, /^(?:\/|$)/)
    }
    for (const attribute of IDS) replacePrefix(element, attribute, renaming.ids, /^(?:-|$)/)
    if (element.localName === 'template') renameIn(element.content, renaming)
  }
}

function replacePrefix(element, attribute, [from, to], follows) {
  const text = element.getAttribute(attribute)
  if (!text) return
  const parts = attribute.startsWith('aria-') ? text.split(' ') : [text]
  const renamed = parts.map((part) =>
    part.startsWith(from) && follows.test(part.slice(from.length))
      ? to + part.slice(from.length)
      : part)
  if (renamed.join(' ') !== text) element.setAttribute(attribute, renamed.join(' '))
}

/** Encode a part of a name as apps/ui/schema_forms/names.py does. */
function idPart(part) {
  return String(part).replace(/[^A-Za-z0-9]/g, (found) =>
    found === '_' ? '__' : `_${found.codePointAt(0).toString(16)}_`)
}

function onChange(event) {
  const choice = event.target.closest('[data-choice]')
  const variants = choice?.closest('[data-variants]')
  if (variants) show(variants, event.target.value)
}

/** Show the fields of an alternative. Those of the former one stay in its template, and are sent as left. */
function show(variants, number) {
  const area = variants.querySelector(':scope > [data-alternative-fields]')
  const templates = [...variants.querySelectorAll(':scope > template')]
  const former = templates.find((each) => each.dataset.alternative === variants.dataset.variants)
  const next = templates.find((each) => each.dataset.alternative === number)
  if (former === next) return
  const texts = new Map([...controlsOf(area)].map((control) => [control.name, control.value]))
  if (former) keepLeft(variants, area)
  forgetLeft(variants, number)
  if (former) former.content.replaceChildren(...area.childNodes)
  area.replaceChildren(...(next ? next.content.childNodes : []))
  variants.dataset.variants = number
  // What both alternatives ask for is not typed twice.
  for (const control of controlsOf(area)) {
    if (!control.value && texts.has(control.name)) control.value = texts.get(control.name)
  }
  for (const list of area.querySelectorAll('[data-list]')) update(list)
  variants.dispatchEvent(new Event('input', { bubbles: true }))
}

/** Send what the alternative contains that is shown, under names that say that it was left. */
function keepLeft(variants, area) {
  const { field, variants: number } = variants.dataset
  const place = variants.querySelector(':scope > [data-left]')
  for (const control of area.querySelectorAll('input, select, textarea')) {
    const isOff = /^(?:radio|checkbox)$/.test(control.type) && !control.checked
    if (isOff || !control.name) continue
    const kept = Object.assign(document.createElement('input'), { type: 'hidden' })
    kept.name = `${field}/~left/${number}${control.name.slice(field.length)}`
    kept.value = control.value
    place.append(kept)
  }
}

function forgetLeft(variants, number) {
  const prefix = `${variants.dataset.field}/~left/${number}`
  for (const kept of [...variants.querySelector(':scope > [data-left]').children]) {
    if (kept.name === prefix || kept.name.startsWith(`${prefix}/`)) kept.remove()
  }
}

function controlsOf(area) {
  return area.querySelectorAll('input:is([type=text], :not([type])), textarea')
}
