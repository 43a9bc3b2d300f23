//! Lists that forms offer.

/// Countries by ISO code: the ones most often chosen, in the order of their names.
pub const COUNTRIES: [(&str, &str); 62] = [
    ("AL", "Albania"), ("DZ", "Algeria"), ("AR", "Argentina"), ("AU", "Australia"), ("AT", "Austria"), ("BH", "Bahrain"),
    ("BE", "Belgium"), ("BA", "Bosnia and Herzegovina"), ("BR", "Brazil"), ("BG", "Bulgaria"), ("CA", "Canada"), ("CL", "Chile"),
    ("CO", "Colombia"), ("HR", "Croatia"), ("CY", "Cyprus"), ("CZ", "Czechia"), ("DK", "Denmark"), ("EG", "Egypt"),
    ("EE", "Estonia"), ("FI", "Finland"), ("FR", "France"), ("DE", "Germany"), ("GR", "Greece"), ("HU", "Hungary"),
    ("IS", "Iceland"), ("IN", "India"), ("ID", "Indonesia"), ("IE", "Ireland"), ("IL", "Israel"), ("IT", "Italy"),
    ("JP", "Japan"), ("JO", "Jordan"), ("KW", "Kuwait"), ("LV", "Latvia"), ("LB", "Lebanon"), ("LT", "Lithuania"),
    ("LU", "Luxembourg"), ("MT", "Malta"), ("MX", "Mexico"), ("MA", "Morocco"), ("NL", "Netherlands"), ("NZ", "New Zealand"),
    ("MK", "North Macedonia"), ("NO", "Norway"), ("PE", "Peru"), ("PH", "Philippines"), ("PL", "Poland"), ("PT", "Portugal"),
    ("QA", "Qatar"), ("RO", "Romania"), ("SA", "Saudi Arabia"), ("RS", "Serbia"), ("SK", "Slovakia"), ("SI", "Slovenia"),
    ("ZA", "South Africa"), ("ES", "Spain"), ("SE", "Sweden"), ("CH", "Switzerland"), ("TR", "Türkiye"),
    ("AE", "United Arab Emirates"), ("GB", "United Kingdom"), ("US", "United States"),
];
