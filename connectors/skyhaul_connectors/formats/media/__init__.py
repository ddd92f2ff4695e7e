"""Images, their captions and side-cars, and objects taken as they are."""
