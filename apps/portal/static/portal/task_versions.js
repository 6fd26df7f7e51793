// When what this page contains, what this device kept and what the server has differ: show both
// versions, and load the fields again. It is loaded when it is needed.

export function versionsOf({ t, form, fields, state, parts, store, key, attach, keep, keptTexts, save, adopt, refused, pause }) {
  const { collect, canonical, labelOf, say, sayStored, showChecked, call, refresh, announce } = parts

  // --- two versions ------------------------------------------------------------------------------

  // `isStored`: mine is what this device kept, not what the fields contain.
  function showConflict(mine, theirs, isStored) {
    state.conflict = { mine, theirs, isStored }
    const section = document.getElementById('conflict'), template = section.querySelector('template')
    const names = [...new Set([...Object.keys(mine), ...Object.keys(theirs.form)])]
    const text = (found, name) => (found[name] ?? []).join(', ') || t.textEmpty
    const lines = names.filter((name) => text(mine, name) !== text(theirs.form, name)).map((name) => {
      const line = template.content.cloneNode(true)
      line.querySelector('dt').textContent = labelOf(name)
      line.querySelector('[data-mine]').textContent = text(mine, name)
      line.querySelector('[data-theirs]').textContent = text(theirs.form, name)
      return line
    })
    section.querySelector('.versions').replaceChildren(...lines)
    section.hidden = false
    section.focus()
    say(t.textUnsaved, { isTrouble: true })
  }

  async function choose(isMine) {
    const { mine, theirs, isStored } = state.conflict
    document.getElementById('conflict').hidden = true
    state.conflict = null
    state.revision = theirs.revision
    if (isMine && isStored) return restore(mine)
    fields.inert = false
    if (isMine) {
      state.edits += 1
      return save()
    }
    state.saved = state.edits
    fields.inert = true
    await keep()
    for (let tries = 0; !(await loadFields()); tries += 1) await pause(tries)
    return undefined
  }

  // --- loading the fields again ------------------------------------------------------------------

  // Return whether they are loaded: not where something was typed meanwhile.
  async function loadFields() {
    const edits = state.edits
    const known = await refresh({ withFields: true })
    if (known?.ended) return location.reload()
    if (!known?.html || state.edits !== edits) return false
    const focused = document.activeElement?.id
    fields.innerHTML = known.html
    attach(fields)
    fields.inert = false
    state.revision = known.draft?.revision ?? 0
    form.elements.revision.value = state.revision
    showChecked(known)
    if (focused) document.getElementById(focused)?.focus()
    if (known.draft) sayStored(known.draft.saved_at)
    return true
  }

  // Save what this device kept, then show it.
  async function restore(found) {
    fields.inert = true
    say(t.textRestoring, { isTrouble: state.trouble })
    for (let tries = 0; ; tries += 1) {
      const answer = await sendKept(found)
      if (answer === 'again') continue
      if (answer && await loadFields()) break
      if (state.conflict || state.isGone) return
      await pause(tries)
      if (state.isSignedOut) await refresh()
    }
    state.saved = state.edits
    await keep()
    announce(t.textRestored)
  }

  async function sendKept(found) {
    state.sent = [...new Set([...state.sent, canonical(found)])]
    await store.put('drafts', key, { form: found, epoch: state.epoch, revision: state.revision, sent: state.sent, texts: keptTexts() })
    const answer = await call('draft', { epoch: state.epoch, revision: state.revision, form: found })
    if (answer?.status === 200) {
      Object.assign(state, { revision: answer.body.revision, sent: [] })
      return answer.body
    }
    if (answer?.body.code === 'draft_changed' && await adopt(answer.body.draft, found)) return 'again'
    if (answer && answer.status !== 401 && !state.conflict) refused(answer)
    else if (!answer) say(navigator.onLine ? t.textUnsaved : t.textOffline, { isTrouble: true })
    return null
  }

  document.querySelector('[data-keep-mine]').addEventListener('click', () => choose(true))
  document.querySelector('[data-take-theirs]').addEventListener('click', () => choose(false))
  return { showConflict, loadFields, restore }
}
