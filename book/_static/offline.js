/* A page opened from a disk may not read its neighbours, so the search shows titles there, without excerpts. */
if (location.protocol === "file:") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}
