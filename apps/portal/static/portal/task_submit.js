// Submit what is saved, with all files. It is loaded when it is needed.

export function submissionOf({
  t, key, form, fields, state, parts, store, channel, noteSent, adopt, refused, unsent,
}) {
  const { collect, say, call } = parts

  // What would be typed during this call would be in no version: the fields take no input.
  // Return 'again' where the stored draft was ours, although its answer was lost.
  async function send() {
    const found = collect(), focused = document.activeElement
    fields.inert = true
    say(t.textSending, { isTrouble: state.trouble })
    await noteSent(found)
    const answer = await call('submit', { epoch: state.epoch, revision: state.revision, form: found })
    if (answer?.status === 200) return leave(answer.body.location)
    fields.inert = false
    focused?.focus({ preventScroll: true })
    if (!answer) return unsent()
    if (answer.body.code === 'draft_changed' && await adopt(answer.body.draft)) return 'again'
    state.submits = false
    if (answer.status === 422) return showRefusedFields(answer.body)
    refused(answer)
    // It was saved before it was refused.
    if (answer.body.code === 'lease_lost') say(t.textSaved)
    return undefined
  }

  async function leave(location_) {
    state.saved = state.edits
    await store.remove('drafts', key)
    channel.postMessage({ kind: 'submitted' })
    location.assign(location_)
  }

  function showRefusedFields({ revision, faults, problems }) {
    Object.assign(state, { revision: revision ?? state.revision, faults })
    form.elements.revision.value = state.revision
    for (const { pointer } of faults) state.touched.add(pointer)
    parts.showTouchedFaults()
    say(t.textSaved)
    parts.showProblems(problems)
  }

  return { send }
}
